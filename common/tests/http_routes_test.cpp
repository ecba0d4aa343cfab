// Paths and methods, and answers that the server itself fills in.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http_support.hpp"

namespace cluster {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::post;

using HttpRoutesTest = test::HttpTest;

TEST_F(HttpRoutesTest, AnUnknownPathIs404) {
  start();
  auto client = connect();
  for (const auto* path : {"/missing", "/items", "/itemsx", "/empty/", "/echo/below", "//"}) {
    const auto answer = client.ask(get(path));
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 404) << path;
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
    EXPECT_EQ(answer->json()["worker"], "one");
    EXPECT_EQ(answer->header("Content-Type"), "application/json");
  }
}

TEST_F(HttpRoutesTest, ARouteThatEndsInASlashStandsForAllBelowIt) {
  start();
  auto client = connect();
  for (const auto* path : {"/items/", "/items/1", "/items/a/b", "/items/a/"}) {
    EXPECT_EQ(client.ask(get(std::string(path) + "?q=1")).value().json()["path"], path);
  }
  EXPECT_EQ(client.status(get("/items/1", "", "DELETE")), 200);
}

TEST_F(HttpRoutesTest, AKnownPathWithAWrongMethodIs405WithAllow) {
  start();
  auto client = connect();
  for (const auto& [request, allow] :
       {std::pair{post("/", "body"), "GET"}, std::pair{get("/echo", "", "DELETE"), "GET, POST"},
        std::pair{post("/items/1", "x"), "DELETE, GET"}, std::pair{get("/", "", "OPTIONS"), "GET"},
        std::pair{get("/", "", "PATCH"), "GET"}}) {
    const auto answer = client.ask(request);
    ASSERT_TRUE(answer) << request;
    EXPECT_EQ(answer->status, 405) << request;
    EXPECT_EQ(answer->header("Allow"), allow) << request;
    EXPECT_TRUE(answer->json()["error"].is_string()) << answer->body;
  }
  EXPECT_EQ(opened(), 1) << "a body that nobody wanted does not spoil the next request";
}

TEST_F(HttpRoutesTest, HeadIs405WithoutABody) {
  start();
  auto client = connect();
  ASSERT_TRUE(client.send(get("/", "", "HEAD")));
  const auto answer = client.read(true);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 405);
  EXPECT_EQ(answer->header("Allow"), "GET");
  EXPECT_EQ(client.ask(get("/")).value().json()["path"], "/")
      << "no body came that would be taken for an answer";
}

TEST_F(HttpRoutesTest, AHandlerThatThrowsIs500AndTheConnectionLives) {
  start();
  auto client = connect();
  const auto answer = client.ask(get("/throw"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 500);
  EXPECT_EQ(answer->json()["error"], "it broke");
  EXPECT_EQ(answer->json()["worker"], "one");
  EXPECT_EQ(client.ask(get("/throw-int")).value().status, 500);
  EXPECT_EQ(client.status(get("/")), 200);
  EXPECT_EQ(opened(), 1);
}

TEST_F(HttpRoutesTest, WhatAHandlerLeavesOpenIsFilledIn) {
  auto& own = make();
  own.Get("/nothing", [](const auto&, auto&) {});
  own.Get("/conflict", [](const auto&, auto& response) { response.status = 409; });
  own.Get("/last", [](const auto&, auto& response) { response.set_header("Connection", "close"); });
  start();
  auto client = connect();
  const auto nothing = client.ask(get("/nothing"));
  ASSERT_TRUE(nothing);
  EXPECT_EQ(nothing->status, 200);
  EXPECT_EQ(nothing->body, "");
  const auto conflict = client.ask(get("/conflict"));
  ASSERT_TRUE(conflict);
  EXPECT_EQ(conflict->status, 409);
  EXPECT_EQ(conflict->json()["error"], "Conflict");
  EXPECT_TRUE(client.ask(get("/last")).value().closes());
  EXPECT_TRUE(client.ended());
}

}  // namespace
}  // namespace cluster
