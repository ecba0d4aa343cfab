// Answers whose body a content provider writes piece by piece.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "http/answer_stream.hpp"
#include "http_support.hpp"

namespace cluster {
namespace {

using test::get;

struct HttpProviderTest : test::HttpTest {
  ~HttpProviderTest() override { end(); }

  // An answer up to its empty line.
  static std::string read_head(test::Client& client) {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      const auto byte = client.read_bytes(1);
      if (byte.empty()) break;
      head += byte;
    }
    return head;
  }
};

TEST_F(HttpProviderTest, AContentProviderIsAskedPieceByPiece) {
  const std::size_t size = 10'000'000;
  std::atomic<int> released{0};
  make().Get("/provided", [&](const auto&, auto& response) {
    response.set_content_provider(
        size, "text/plain",
        [](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
          const std::string piece(std::min<std::size_t>(length, 100'000),
                                  static_cast<char>('a' + offset / 100'000 % 26));
          return sink.write(piece.data(), piece.size());
        },
        [&released](bool success) { released += success ? 1 : 100; });
  });
  start();
  auto client = connect(4'096);
  for (int i = 1; i <= 2; ++i) {
    const auto answer = client.ask(get("/provided"));
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->body.size(), size);
    EXPECT_EQ(answer->body[0], 'a');
    EXPECT_EQ(answer->body[9'999'999], 'a' + 99 % 26);
    EXPECT_TRUE(test::eventually([&] { return released == i; }));
  }
}

TEST(AnswerStream, AContentProviderWaitsWithinALongPieceToo) {
  HttpCall call;
  call.streams = true;
  std::string sent;
  std::size_t longest = 0;
  AnswerStream stream(call, [&](std::string_view text, AnswerStream::Piece piece) {
    EXPECT_EQ(piece, AnswerStream::Piece::of_stream) << "this is where it waits";
    longest = std::max(longest, text.size());
    sent += text;
    return sent.size() < 3'000'000;
  });
  const std::string first(2'500'000, 'a');
  EXPECT_EQ(stream.write(first.data(), first.size()), 2'500'000);
  EXPECT_EQ(sent, first);
  EXPECT_LE(longest, std::size_t{1} << 20);
  EXPECT_EQ(stream.write(first.data(), first.size()), -1) << "the client is gone";
  EXPECT_LT(sent.size(), 4'000'000U);
}

TEST_F(HttpProviderTest, ChunksLeaveWhenTheyAreWritten) {
  make().Get("/chunks", [this](const auto&, auto& response) {
    response.set_chunked_content_provider("text/plain",
                                          [this](std::size_t offset, httplib::DataSink& sink) {
                                            if (offset > 0) {
                                              gate.pass();
                                              sink.done();
                                              return true;
                                            }
                                            return sink.write("first", 5);
                                          });
  });
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/chunks") + get("/")));
  EXPECT_NE(read_head(client).find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(client.read_bytes(10), "5\r\nfirst\r\n") << "before the rest is written";
  gate.open();
  EXPECT_EQ(client.read_bytes(5), "0\r\n\r\n");
  EXPECT_EQ(client.read().value().json()["path"], "/") << "the connection is kept";
}

TEST_F(HttpProviderTest, WithoutALengthAndWithoutChunksTheEndOfTheConnectionIsTheEnd) {
  const auto provide = [](std::size_t offset, httplib::DataSink& sink) {
    if (offset > 0) {
      sink.done();
      return true;
    }
    return sink.write("body", 4);
  };
  auto& own = make();
  own.Get("/chunks", [provide](const auto&, auto& response) {
    response.set_chunked_content_provider("text/plain", provide);
  });
  own.Get("/until-the-end", [provide](const auto&, auto& response) {
    response.set_content_provider("text/plain", provide);
  });
  start();
  for (const auto& request : {std::string("GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n"
                                          "Accept-Encoding: gzip, br\r\n\r\n"),
                              get("/until-the-end")}) {
    auto client = connect();
    ASSERT_TRUE(client.send(request));
    const auto head = read_head(client);
    EXPECT_NE(head.find("Connection: close\r\n"), std::string::npos) << head;
    EXPECT_EQ(head.find("Transfer-Encoding"), std::string::npos) << head;
    EXPECT_EQ(head.find("Content-Encoding"), std::string::npos) << head;
    EXPECT_EQ(client.read_bytes(4), "body");
    EXPECT_TRUE(client.ended());
  }
}

// A handler that reads the body itself comes another way.
TEST_F(HttpProviderTest, WithoutChunksNothingIsCompressedBehindAReaderEither) {
  auto& own = make();
  own.Post("/read", [](const auto&, auto& response, const httplib::ContentReader& read) {
    read([](const char*, std::size_t) { return true; });
    response.set_chunked_content_provider("text/plain", [](std::size_t, httplib::DataSink& sink) {
      sink.write("body", 4);
      sink.done();
      return true;
    });
  });
  start();
  auto client = connect();
  ASSERT_TRUE(
      client.send("POST /read HTTP/1.0\r\nAccept-Encoding: gzip, br\r\n"
                  "Content-Length: 1\r\n\r\nx"));
  const auto head = read_head(client);
  EXPECT_EQ(head.find("Content-Encoding"), std::string::npos) << head;
  EXPECT_EQ(client.read_bytes(4), "body");
}

TEST_F(HttpProviderTest, AnAnswerHasOneLengthAndOneBody) {
  const auto provide = [](std::size_t offset, httplib::DataSink& sink) {
    if (offset == 0) {
      return sink.write("provided", 8);
    }
    sink.done();
    return true;
  };
  auto& own = make();
  own.Get("/both", [provide](const auto&, auto& response) {
    response.set_content(std::string(100'000, 'x'), "text/plain");
    response.set_chunked_content_provider("text/plain", provide);
  });
  own.Get("/length", [](const auto&, auto& response) {
    response.set_header("Content-Length", "3");
    response.set_content_provider(8, "text/plain",
                                  [](std::size_t, std::size_t, httplib::DataSink& sink) {
                                    return sink.write("provided", 8);
                                  });
  });
  start();
  auto client = connect();
  EXPECT_EQ(client.ask(get("/both")).value().body, std::string(100'000, 'x'));
  ASSERT_TRUE(client.send(get("/length")));
  const auto head = read_head(client);
  EXPECT_NE(head.find("Content-Length: 8\r\n"), std::string::npos) << head;
  EXPECT_EQ(head.find("Content-Length: 3"), std::string::npos) << head;
  EXPECT_EQ(client.read_bytes(8), "provided");
  EXPECT_EQ(client.status(get("/")), 200);
}

TEST_F(HttpProviderTest, AProviderThatFailsCutsItsAnswer) {
  make().Get("/fails", [](const auto&, auto& response) {
    response.set_content_provider(100, "text/plain",
                                  [](std::size_t, std::size_t, httplib::DataSink& sink) {
                                    return sink.write("part", 4) && false;
                                  });
  });
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/fails")));
  EXPECT_FALSE(client.read()) << "the connection ends before the answer does";
  ASSERT_TRUE(await_done(1));
  EXPECT_FALSE(done()[0].sent);
  EXPECT_EQ(connect().status(get("/")), 200);
}

}  // namespace
}  // namespace cluster
