// An answer is the same, whether it leaves as it is or is written by cpp-httplib.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "http_support.hpp"

namespace cluster {
namespace {

using test::get;
using test::post;

void add_routes(HttpServer& server) {
  const auto status = [&server](const std::string& path, int number) {
    server.Get(path, [number](const auto&, auto& response) {
      response.status = number;
      response.body = "some text";
    });
  };
  for (const int number : {-1, 200, 201, 204, 304, 409, 418, 429, 451, 503}) {
    status("/status/" + std::to_string(number), number);
  }
  server.Get("/nothing", [](const auto&, auto&) {})
      .Get("/typed", [](const auto&, auto& response) { response.set_content("<p>", "text/html"); })
      .Get("/close",
           [](const auto&, auto& response) {
             response.set_header("Connection", "close");
             response.set_content("bye", "text/plain");
           })
      .Get("/length",
           [](const auto&, auto& response) {
             response.set_header("Content-Length", "1");
             response.set_header("Transfer-Encoding", "chunked");
             response.body = "another length";
           })
      .Get("/split",
           [](const auto&, auto& response) { response.headers.emplace("X-A", "1\r\nX-B: 2"); })
      .Get("/date",
           [](const auto&, auto& response) { response.set_header("Date", "of the handler"); })
      .Get("/thrice",
           [](const auto&, auto& response) {
             for (const auto* value : {"1", "3", "2"}) {
               response.set_header("X-Many", value);
             }
           })
      .Get("/redirect",
           [](const auto&, auto& response) { response.set_redirect("/elsewhere", 303); })
      .Get("/long", [](const auto&, auto& response) { response.body = std::string(200'000, 'x'); })
      .Post("/echo", [](const auto& request, auto& response) { response.body = request.body; });
  server.set_default_headers({{"Server", "mine"}});
}

// What a client sees of it, but for what has the time in it.
std::vector<std::string> seen_of(const test::Answer& answer, bool closed) {
  std::vector<std::string> lines;
  std::string_view head = answer.head;
  while (!head.empty()) {
    const auto line = head.substr(0, head.find('\n'));
    head.remove_prefix(std::min(line.size() + 1, head.size()));
    const bool has_time = line.starts_with("Date: ") && line.ends_with(" GMT\r");
    lines.emplace_back(has_time ? "Date" : line);
  }
  if (!lines.empty()) {
    std::sort(lines.begin() + 1, lines.end());
  }
  lines.push_back(answer.body);
  lines.emplace_back(closed ? "closed" : "kept");
  return lines;
}

struct HttpAnswerTest : test::HttpTest {
  ~HttpAnswerTest() override { end(); }

  // Of a new server on a new connection.
  std::vector<std::string> answer(const std::string& request, bool by_httplib) {
    auto& own = make();
    add_routes(own);
    if (by_httplib) {
      own.set_logger([](const auto&, const auto&) {});
    }
    start();
    auto client = connect();
    EXPECT_TRUE(client.send(request));
    const auto first = client.read(request.starts_with("HEAD"));
    if (!first) {
      ADD_FAILURE() << "no answer to " << request;
      return {};
    }
    const bool closed = !client.send(get("/nothing")) || !client.read();
    end();
    return seen_of(*first, closed);
  }
};

TEST_F(HttpAnswerTest, IsTheSameWhoeverWritesIt) {
  std::vector<std::string> requests{
      post("/echo", "what was sent"),
      post("/echo", ""),
      get("/typed", "Connection: close\r\n"),
      "GET /typed HTTP/1.0\r\n\r\n",
      "GET /typed HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      get("/missing"),
      get("/echo"),
      get("/throw"),
      get("/throw-int"),
      get("/typed", "", "HEAD"),
  };
  for (const auto* path :
       {"/status/-1", "/status/200", "/status/201", "/status/204", "/status/304", "/status/409",
        "/status/418", "/status/451", "/status/429", "/status/503", "/nothing", "/typed", "/close",
        "/length", "/split", "/date", "/thrice", "/redirect", "/long"}) {
    requests.push_back(get(path));
  }
  for (const auto& request : requests) {
    auto expected = answer(request, true);
    // cpp-httplib says so of each HEAD, although ranges are ignored.
    std::erase(expected, "Accept-Ranges: bytes\r");
    EXPECT_EQ(answer(request, false), expected) << request;
  }
}

TEST_F(HttpAnswerTest, AContentProviderMayLookAtItsRequest) {
  auto& own = make();
  own.Get("/of", [](const auto& request, auto& response) {
    const auto write = [&request](std::size_t, std::size_t, httplib::DataSink& sink) {
      const auto text = request.path + " " + request.get_param_value("name") + " " +
                        request.get_header_value("X-Name");
      return sink.write(text.data(), text.size());
    };
    response.set_content_provider(11, "text/plain", write);
  });
  start();
  const auto answer = connect().ask(get("/of?name=one", "X-Name: two\r\n"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->body, "/of one two");
}

// And there, still in the handler's thread, it may call the server.
TEST_F(HttpAnswerTest, WhatAContentProviderHoldsIsReleasedBeforeTheAnswerIsToldOf) {
  auto& own = make();
  std::atomic<std::size_t> done_before{1};
  own.Get("/failing", [&](const auto&, auto& response) {
    response.set_content_provider(
        3, "text/plain", [](std::size_t, std::size_t, httplib::DataSink&) { return false; },
        [&](bool) {
          own.longest_in_flight();
          done_before = done().size();
        });
    throw std::runtime_error("it broke");
  });
  start();
  EXPECT_EQ(connect().status(get("/failing")), 500);
  ASSERT_TRUE(await_done(1));
  EXPECT_EQ(done_before, 0U);
}

TEST_F(HttpAnswerTest, AHeaderThatAPreRoutingHandlerHasSetStays) {
  auto& own = make();
  own.Post("/read", [&own](const auto&, auto& response, const auto& reader) {
    reader([](const char*, std::size_t) { return true; });
    own.reply(response, 200, {});
  });
  own.set_pre_routing_handler([](const auto&, auto& response) {
    response.set_header("X-Early", "1");
    return HttpServer::HandlerResponse::Unhandled;
  });
  start();
  auto client = connect();
  for (const auto& request : {get("/"), get("/missing"), post("/read", "text")}) {
    EXPECT_EQ(client.ask(request).value().header("X-Early"), "1") << request;
  }
}

}  // namespace
}  // namespace cluster
