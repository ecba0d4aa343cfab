// What cpp-httplib's documentation shows of a server's handlers.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>

#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using Outcome = HttpServer::HandlerResponse;

struct HttplibTest : test::HttpTest {
  ~HttplibTest() override { end(); }
};

TEST_F(HttplibTest, AnExpressionFillsTheMatches) {
  auto& own = make();
  own.Get(R"(/numbers/(\d+)/(\w+))", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"number", request.matches[1].str()}, {"word", request.matches[2]}});
  });
  start();
  auto client = connect();
  const auto answer = client.ask(get("/numbers/42/abc"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->json()["number"], "42");
  EXPECT_EQ(answer->json()["word"], "abc");
  EXPECT_EQ(client.status(get("/numbers/x/abc")), 404);
  EXPECT_EQ(client.ask(post("/numbers/42/abc", "")).value().header("Allow"), "GET");
}

TEST_F(HttplibTest, TheFirstPatternThatMatchesDecides) {
  auto& own = make();
  const auto named = [&own](const std::string& name) {
    return [&own, name](const auto&, auto& response) {
      own.reply(response, 200, {{"route", name}});
    };
  };
  own.Get("/a/exact", named("exact"))
      .Get("/a/.*", named("pattern"))
      .Get("/a/late", named("late"))
      .Get("/a/exact", named("again"));
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/a/exact")).value().json()["route"], "exact");
  EXPECT_EQ(client.ask(get("/a/late")).value().json()["route"], "pattern");
  EXPECT_EQ(client.ask(get("/a/")).value().json()["route"], "pattern");
}

TEST_F(HttplibTest, AHandlerSeesAllHeadersOfAnHttp10Request) {
  auto& own = make();
  own.Get("/seen", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"accepted", request.get_header_value("Accept-Encoding")}});
  });
  start();
  const auto answer = connect().ask("GET /seen HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->json()["accepted"], "gzip");
}

template <typename Request>
void expect_hang_up_is_told(Request& request, const test::Client& client) {
  if constexpr (requires { request.is_connection_closed; }) {
    EXPECT_FALSE(request.is_connection_closed());
    client.finish();
    EXPECT_TRUE(test::eventually([&] { return request.is_connection_closed(); }));
  }
}

// Not in all versions of cpp-httplib.
TEST_F(HttplibTest, AHandlerCanAskWhetherTheClientHasHungUp) {
  auto& own = make();
  const auto client = connect();
  own.Get("/long", [&](const auto& request, auto& response) {
    expect_hang_up_is_told(request, client);
    own.reply(response, 200, {});
  });
  start();
  ASSERT_TRUE(client.send(get("/long")));
  ASSERT_TRUE(await_done(1));
}

template <typename Request>
constexpr bool has_path_params = requires(Request request) {
  request.path_params;
};

template <typename Request>
void reply_with_parameters(const HttpServer& server, const Request& request,
                           HttpServer::Response& response) {
  if constexpr (requires { request.path_params; }) {
    server.reply(response, 200, {{"id", request.path_params.at("id")}});
  } else {
    server.reply(response, 200, {{"id", "7"}});
  }
}

TEST_F(HttplibTest, APathHasParametersWhereTheVersionKnowsThem) {
  auto& own = make();
  own.Get("/users/:id/posts", [&own](const auto& request, auto& response) {
    reply_with_parameters(own, request, response);
  });
  start();
  auto client = connect();
  const auto* path = has_path_params<httplib::Request> ? "/users/7/posts" : "/users/:id/posts";
  EXPECT_EQ(client.ask(get(path)).value().json()["id"], "7");
  EXPECT_EQ(client.status(get("/users//posts")), 404);
  EXPECT_EQ(client.status(get("/users/7")), 404);
}

// Of a pattern that fits only in part.
TEST_F(HttplibTest, AHandlerSeesNoParametersOfAnotherPath) {
  auto& own = make();
  const auto count = [&own](const auto& request, auto& response) {
    if constexpr (requires { request.path_params; }) {
      own.reply(response, 200, {{"parameters", request.path_params.size()}});
    } else {
      own.reply(response, 200, {{"parameters", 0}});
    }
  };
  own.Get("/users/:id/posts", count).Get(R"(/users/(\d+)/likes)", count);
  start();
  EXPECT_EQ(connect().ask(get("/users/7/likes")).value().json()["parameters"], 0);
}

TEST_F(HttplibTest, TakesFormsOfBothKinds) {
  auto& own = make();
  own.Post("/form", [&own](const auto& request, auto& response) {
    const auto file = request.get_file_value("file");
    own.reply(response, 200,
              {{"name", file.filename},
               {"content", file.content},
               {"text", request.get_file_value("text").content}});
  });
  own.Post("/fields", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"a", request.get_param_value("a")}, {"body", request.body}});
  });
  start();
  auto client = connect();
  const std::string body =
      "--XX\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\n"
      "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n"
      "Content-Type: text/plain\r\n\r\nline 1\r\nline 2\r\n--XX--\r\n";
  for (int i = 0; i < 2; ++i) {
    const auto form =
        client.ask(post("/form", body, "Content-Type: multipart/form-data; boundary=XX\r\n"));
    ASSERT_TRUE(form);
    EXPECT_EQ(form->json()["name"], "f.txt");
    EXPECT_EQ(form->json()["content"], "line 1\r\nline 2");
    EXPECT_EQ(form->json()["text"], "hello");
  }
  EXPECT_EQ(
      client.status(post("/form", "no form", "Content-Type: multipart/form-data; boundary=XX\r\n")),
      400);
  const auto fields = client.ask(
      post("/fields", "a=1+2&b=3", "Content-Type: application/x-www-form-urlencoded\r\n"));
  ASSERT_TRUE(fields);
  EXPECT_EQ(fields->json()["a"], "1 2");
  EXPECT_EQ(fields->json()["body"], "a=1+2&b=3");
}

// cpp-httplib looks for forms only where a body is usual.
TEST_F(HttplibTest, TheBodyOfAGetIsThereWhateverItsType) {
  auto& own = make();
  own.Get("/body", [&own](const auto& request, auto& response) {
    own.reply(response, 200, {{"body", request.body}});
  });
  start();
  auto request = post("/body", "no form", "Content-Type: multipart/form-data; boundary=XX\r\n");
  request.replace(0, 4, "GET");
  EXPECT_EQ(connect().ask(request).value().json()["body"], "no form");
}

TEST_F(HttplibTest, ADefaultHeaderThatIsNoTextIsRefused) {
  EXPECT_THROW(make().set_default_headers({{"Server", "mine\r\nX: y"}}), std::invalid_argument);
}

TEST_F(HttplibTest, AHandlerMayReadTheBodyItself) {
  auto& own = make();
  own.Post("/read", [&own](const auto&, auto& response, const auto& reader) {
    std::string body;
    reader([&body](const char* data, std::size_t size) {
      body.append(data, size);
      return true;
    });
    own.reply(response, 200, {{"read", body}});
  });
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(post("/read", "all of it")).value().json()["read"], "all of it");
  EXPECT_EQ(client
                .ask(get("/read", "Transfer-Encoding: chunked\r\n", "POST") +
                     "4\r\nWiki\r\n5\r\npedia\r\n0\r\n\r\n")
                .value()
                .json()["read"],
            "Wikipedia");
  EXPECT_EQ(client.ask(get("/read")).value().header("Allow"), "POST");
}

TEST_F(HttplibTest, TheFirstPatternDecidesWhateverTheBodyIs) {
  auto& own = make();
  own.Post("/upload",
           [&own](const auto& request, auto& response) {
             own.reply(response, 200, {{"file", request.get_file_value("a").content}});
           })
      .Post(
          "/up(.*)",
          [&own](const auto& request, auto& response, const auto& reader) {
            reader([](const auto&) { return true; }, [](const char*, std::size_t) { return true; });
            own.reply(response, 200, {{"rest", request.matches[1].str()}, {"path", request.path}});
          })
      .Post("/exact", [&own](const auto& request, auto& response, const auto& /*reader*/) {
        own.reply(response, 200, {{"matches", request.matches.size()}});
      });
  start();
  auto client = connect();
  const std::string form =
      "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--X--\r\n";
  const std::string type = "Content-Type: multipart/form-data; boundary=X\r\n";
  EXPECT_EQ(client.ask(post("/upload", form, type)).value().json()["file"], "b");
  EXPECT_EQ(client.ask(post("/upload", "plain")).value().json()["file"], "");
  EXPECT_EQ(client.ask(post("/exact", form, type)).value().json()["matches"], 0);
  client = connect();  // the form was not read
  const auto rest = client.ask(post("/upwards", form, type));
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->json()["rest"], "wards");
  EXPECT_EQ(rest->json()["path"], "/upwards");
}

TEST_F(HttplibTest, NoHandlerGetsABodyThatIsEncoded) {
  auto& own = make();
  own.Post("/read", [&own](const auto&, auto& response, const auto& /*reader*/) {
    own.reply(response, 200, {});
  });
  start();
  auto client = connect();
  for (const auto* path : {"/echo", "/read"}) {
    EXPECT_EQ(client.status(post(path, "packed", "Content-Encoding: gzip\r\n")), 415) << path;
    EXPECT_EQ(client.status(post(path, "", "Content-Encoding: gzip\r\n")), 200) << path;
  }
}

TEST_F(HttplibTest, AnErrorDescribesNoOtherBody) {
  make().Get("/packed", [](const auto& request, auto& response) {
    response.set_header("Content-Encoding", "gzip");
    response.set_header("Content-Range", "bytes */10");
    response.set_header("ETag", "\"1\"");
    response.set_header("Cache-Control", "no-store");
    response.status = request.has_param("range") ? 416 : 404;
    if constexpr (requires { response.set_file_content("/etc/hostname"); }) {
      response.set_file_content("/etc/hostname");
    }
    if (request.has_param("throw")) throw std::runtime_error("it broke");
    if constexpr (requires { response.file_content_path_; }) response.file_content_path_.clear();
  });
  start();
  auto client = connect();
  for (const auto& [path, status] : {std::pair("/packed", 404), std::pair("/packed?throw=1", 500),
                                     std::pair("/packed?range=1", 416)}) {
    const auto answer = client.ask(get(path));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, status);
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
    EXPECT_FALSE(answer->header("Content-Encoding"));
    EXPECT_EQ(answer->header("Content-Range").has_value(), status == 416);
    EXPECT_EQ(answer->header("ETag").has_value(), status == 416);
    EXPECT_EQ(answer->header("Cache-Control"), "no-store");
  }
}

TEST_F(HttplibTest, ItsHandlersAreCalled) {
  std::atomic<int> logged{0};
  auto& own = make();
  own.set_exception_handler([&own](const auto&, auto& response, const std::exception_ptr& thrown) {
       try {
         std::rethrow_exception(thrown);
       } catch (const std::exception& error) {
         own.reply(response, 418, {{"thrown", error.what()}});
       } catch (...) {
         own.reply(response, 418, {{"thrown", "something"}});
       }
     })
      .set_default_headers({{"Server", "mine"}})
      .set_logger([&logged](const auto&, const auto& response) { logged += response.status; })
      .set_pre_routing_handler([&own](const auto& request, auto& response) {
        if (request.path != "/early") return Outcome::Unhandled;
        own.reply(response, 202, {{"early", true}});
        return Outcome::Handled;
      })
      .set_post_routing_handler(
          [](const auto&, auto& response) { response.set_header("X-Late", "1"); });
  start();
  auto client = connect();
  const auto thrown = client.ask(get("/throw"));
  ASSERT_TRUE(thrown);
  EXPECT_EQ(thrown->status, 418);
  EXPECT_EQ(thrown->json()["thrown"], "it broke");
  EXPECT_EQ(thrown->header("Server"), "mine");
  EXPECT_EQ(thrown->header("X-Late"), "1");
  EXPECT_EQ(client.ask(get("/throw-int")).value().json()["thrown"], "something");
  EXPECT_EQ(client.ask(get("/early")).value().json()["early"], true);
  EXPECT_TRUE(await_done(3));
  EXPECT_EQ(logged, 418 + 418 + 202);
  EXPECT_EQ(client.ask("nonsense\r\n\r\n").value().header("Server"), "mine");
}

TEST_F(HttplibTest, AnErrorHandlerWritesTheBodyOfErrors) {
  make().set_error_handler([](const auto& request, auto& response) {
    response.set_content("<p>" + std::to_string(response.status) + request.path, "text/html");
  });
  start();
  auto client = connect();
  const auto missing = client.ask(get("/missing"));
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->status, 404);
  EXPECT_EQ(missing->body, "<p>404/missing");
  EXPECT_EQ(missing->header("Content-Type"), "text/html");
  EXPECT_EQ(client.ask(post("/", "x")).value().body, "<p>405/");
  EXPECT_EQ(client.ask(get("/throw")).value().body, "<p>500/throw");
  EXPECT_EQ(client.ask(get("/")).value().json()["path"], "/");
}

TEST_F(HttplibTest, AHandlerOfErrorsThatThrowsIs500AndHarmsNobody) {
  auto& own = make();
  own.set_error_handler([](const auto&, auto&) { throw std::runtime_error("it broke"); });
  own.set_default_headers({{"Server", "mine"}});
  own.Get("/bad", [](const auto&, auto& response) { response.headers.emplace("X", "1\r\n2"); });
  start();
  for (const auto* path : {"/missing", "/bad"}) {
    const auto answer = connect().ask(get(path));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 500);
    EXPECT_EQ(answer->header("Server"), "mine");
  }
  EXPECT_EQ(connect().status(get("/")), 200);
}

TEST_F(HttplibTest, ServesFilesOfAMountPoint) {
  const test::TempDir folder;
  std::ofstream(folder / "page.html") << "<p>hello";
  auto& own = make();
  ASSERT_TRUE(own.set_mount_point("/files", folder / ""));
  own.Get("/files/(.*)/made",
          [&own](const auto& request, auto& response) {
            own.reply(response, 200, {{"made", request.matches[1].str()}});
          })
      .set_pre_routing_handler([](const auto&, auto& response) {
        response.set_header("X-Early", "1");
        response.status = 200;
        return Outcome::Unhandled;
      });
  start();
  auto client = connect();
  const auto page = client.ask(get("/files/page.html"));
  ASSERT_TRUE(page);
  EXPECT_EQ(page->body, "<p>hello");
  const auto part = client.ask(get("/files/page.html", "Range: bytes=0-0\r\n"));
  ASSERT_TRUE(part);
  EXPECT_EQ(part->status, 200) << "ranges are ignored";
  EXPECT_EQ(part->body, "<p>hello");
  EXPECT_EQ(client.status(get("/files/missing")), 404);
  EXPECT_EQ(client.status(get("/files/../page.html")), 404);
  const auto made = client.ask(get("/files/a/b/made"));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->json()["made"], "a/b") << "where there is no file, the routes decide";
  EXPECT_EQ(made->header("X-Early"), "1");
  EXPECT_EQ(client.status(get("/throw")), 500);
  EXPECT_EQ(client.ask(post("/files/a/b/made", "")).value().header("Allow"), "GET");
  EXPECT_EQ(client.ask(get("/")).value().json()["path"], "/");
  ASSERT_TRUE(client.send(get("/files/page.html", "", "HEAD")));
  EXPECT_EQ(client.read(true).value().status, 200);
}

TEST_F(HttplibTest, ARequestKnowsItsClient) {
  auto& own = make();
  own.Get("/who", [&own](const auto& request, auto& response) {
    own.reply(response, 200,
              {{"remote", request.remote_addr},
               {"named", request.remote_port > 0},
               {"local", request.local_port}});
  });
  start();
  const auto answer = connect().ask(get("/who", "REMOTE_ADDR: 10.0.0.1\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->json()["remote"], "127.0.0.1");
  EXPECT_EQ(answer->json()["named"], true);
  EXPECT_EQ(answer->json()["local"], listener.address.port);
}

TEST_F(HttplibTest, OnlyLongAnswersAreCompressed) {
  large = std::string(10'000, 'x');
  start();
  auto client = connect();
  EXPECT_FALSE(
      client.ask(get("/", "Accept-Encoding: gzip\r\n")).value().header("Content-Encoding"));
  const auto answer = client.ask(get("/large", "Accept-Encoding: gzip\r\n"));
  ASSERT_TRUE(answer);
  if (answer->header("Content-Encoding")) {  // cpp-httplib may be built without it
    EXPECT_LT(answer->body.size(), 1'000U);
  }
  EXPECT_EQ(client.ask(get("/large")).value().body, large);
}

}  // namespace
}  // namespace cluster
