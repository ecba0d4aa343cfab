#include "http/message.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <string>
#include <thread>

namespace cluster {
namespace {

std::optional<httplib::Request> parse(const std::string& line, const std::string& headers = "") {
  httplib::Request request;
  return parse_request(line + "\r\n" + headers + "\r\n", request) ? std::optional(request)
                                                                  : std::nullopt;
}

TEST(ParseRequest, TakesTheRequestLineApart) {
  const auto request = parse("DELETE /a/b?x=1&y=2#end HTTP/1.0").value();
  EXPECT_EQ(request.method, "DELETE");
  EXPECT_EQ(request.target, "/a/b?x=1&y=2#end");
  EXPECT_EQ(request.path, "/a/b");
  EXPECT_EQ(request.version, "HTTP/1.0");
  EXPECT_EQ(request.get_param_value("x"), "1");
  EXPECT_EQ(request.get_param_value("y"), "2");
}

TEST(ParseRequest, ATargetMayNameTheServer) {
  for (const auto& [target, path] :
       {std::pair{"http://here:8000/a?x=1", "/a"}, std::pair{"HTTP://here", "/"},
        std::pair{"http://here?x=1", "/"}}) {
    EXPECT_EQ(parse("GET " + std::string(target) + " HTTP/1.1").value().path, path) << target;
  }
}

TEST(ParseRequest, DecodesPathAndQueryEachInItsWay) {
  const auto request =
      parse("GET /a+b%20%2f%C3%BC?k%65y=a+b%2B%26%00&flag&=nameless&&x=1=2 HTTP/1.1").value();
  EXPECT_EQ(request.path, "/a+b /\xC3\xBC");
  EXPECT_EQ(request.get_param_value("key"), std::string("a b+&\0", 6));
  EXPECT_TRUE(request.has_param("flag"));
  EXPECT_EQ(request.get_param_value("flag"), "");
  EXPECT_EQ(request.get_param_value(""), "nameless");
  EXPECT_EQ(request.get_param_value("x"), "1=2");
  EXPECT_EQ(request.params.size(), 4U);
}

TEST(ParseRequest, AParameterMayComeTwice) {
  const auto request = parse("GET /?x=1&x=2 HTTP/1.1").value();
  EXPECT_EQ(request.get_param_value_count("x"), 2U);
  EXPECT_EQ(request.get_param_value("x", 1), "2");
}

TEST(ParseRequest, APercentSignWithoutTwoDigitsStandsForItself) {
  for (const auto* path : {"/%", "/%4", "/%zz", "/%4x", "/%+1", "/%-1", "/100%"}) {
    EXPECT_EQ(parse("GET " + std::string(path) + " HTTP/1.1").value().path, path);
  }
}

TEST(ParseRequest, FindsHeadersInUpperAndLowerCase) {
  const auto request =
      parse("GET / HTTP/1.1", "Host: here\r\nX-A:  \t b c \t\r\nx-a:d\r\nEmpty:\r\n").value();
  EXPECT_EQ(request.get_header_value("host"), "here");
  std::set<std::string> both;
  for (auto [one, end] = request.headers.equal_range("X-a"); one != end; ++one) {
    both.insert(one->second);
  }
  EXPECT_EQ(both, (std::set<std::string>{"b c", "d"}));
  EXPECT_TRUE(request.has_header("empty"));
  EXPECT_EQ(request.headers.size(), 4U);
}

TEST(ParseRequest, RefusesWhatIsNoRequestLine) {
  for (const auto* line :
       {"", "GET", "GET /", "GET / ", "GET  / HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1",
        " / HTTP/1.1", "G(T / HTTP/1.1", "GET / HTTP/2.0", "GET / http/1.1", "GET /\t HTTP/1.1",
        "GET /\x01 HTTP/1.1", "GET / HTTP/1.1\nHost: x"}) {
    EXPECT_FALSE(parse(line)) << line;
  }
}

TEST(ParseHeader, RefusesWhatIsNoHeader) {
  for (const auto* line : {"", "x", ": x", "a b: x", " folded: x", "a\t: x", "a: x\ny", "a: x\ry",
                           "a: \x01", "a:\x7F"}) {
    EXPECT_FALSE(parse_header(line)) << line;
  }
  EXPECT_FALSE(parse_header(std::string_view("a: x\0y", 6)));
  EXPECT_EQ(parse_header("a: x\ty\xFC").value().value, "x\ty\xFC");
}

httplib::Response response(int status, const std::string& body) {
  httplib::Response result;
  result.status = status;
  result.set_content(body, "application/json");
  return result;
}

TEST(FormatLastResponse, WritesHeadAndBodyAndSaysThatItIsTheLast) {
  auto answer = response(503, "{}");
  answer.set_header("Connection", "upgrade");
  answer.set_header("Content-Length", "7");
  const auto text = format_last_response(answer);
  const auto date = text.find("Date: ");
  ASSERT_NE(date, std::string::npos);
  EXPECT_EQ(text.substr(0, date),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            "Connection: close\r\nContent-Length: 2\r\n");
  EXPECT_TRUE(text.ends_with(" GMT\r\n\r\n{}")) << text;
}

TEST(FormatLastResponse, AnAnswerToHeadHasTheLengthButNoBody) {
  const auto text = format_last_response(response(200, "{\"a\":1}"), false);
  EXPECT_NE(text.find("Content-Length: 7\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with(" GMT\r\n\r\n")) << text;
}

TEST(FormatLastResponse, AStatusWithoutANameIsWrittenAllTheSame) {
  EXPECT_TRUE(format_last_response(response(299, "{}")).starts_with("HTTP/1.1 299 Status\r\n"));
}

TEST(HttpDate, IsWrittenAsRfc9110Says) {
  const auto date = [](std::int64_t seconds) {
    return http_date(std::chrono::system_clock::time_point(std::chrono::seconds(seconds)));
  };
  EXPECT_EQ(date(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date(1'709'251'199), "Thu, 29 Feb 2024 23:59:59 GMT");
}

TEST(HttpDate, OfNowGoesOnWithTheClock) {
  using std::chrono::system_clock;
  for (int second = 0; second < 2; ++second) {
    const auto before = system_clock::now();
    const auto text = std::string(http_date_now());
    EXPECT_TRUE(text == http_date(before) || text == http_date(system_clock::now())) << text;
    std::this_thread::sleep_until(std::chrono::ceil<std::chrono::seconds>(before));
  }
}

TEST(IsHost, KnowsNamesAndAddressesWithAndWithoutAPort) {
  for (const auto* host : {"", "here", "here.example:8000", "127.0.0.1:80", "[::1]", "[::1]:8000",
                           "here:", "a_b-c~1", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(is_host(host)) << host;
  }
  for (const auto* host : {"a b", "a/b", "a@b", "http://a", "a:b", "a:80:80", "[::1", "::1", "[]",
                           "[::1]x", "a?b", "a#b", "\"a\"", "a\\b", "<a>", "\xC3\xBC"}) {
    EXPECT_FALSE(is_host(host)) << host;
  }
}

}  // namespace
}  // namespace cluster
