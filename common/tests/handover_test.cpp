#include "handover.hpp"

#include <gtest/gtest.h>

#include <string>

#include "cluster/settings.hpp"
#include "support.hpp"

namespace cluster {
namespace {

TEST(Handover, IsReadAsItWasWritten) {
  for (const auto& written : {Handover{2, 1240, 5, 4}, Handover{64, 1, -1, -1}}) {
    const auto text = written.variable();
    const auto end_of_name = text.find('=');
    const test::Variable variable(text.substr(0, end_of_name).c_str(),
                                  text.substr(end_of_name + 1).c_str());
    const auto read = Handover::from_environment();
    ASSERT_TRUE(read) << text;
    EXPECT_EQ(read->number, written.number);
    EXPECT_EQ(read->master, written.master);
    EXPECT_EQ(read->channel, written.channel);
    EXPECT_EQ(read->listener, written.listener);
  }
}

TEST(Handover, AnUnsetVariableIsNone) {
  const test::Variable unset("CLUSTER_WORKER", nullptr);
  EXPECT_FALSE(Handover::from_environment());
}

TEST(Handover, WhatNoMasterHasWrittenIsRefused) {
  for (const auto* text : {"", "worker", "2 1240 5", "2 1240 5 4 3", "2 1240 5 4 ", "2  1240 5 4",
                           "0 1240 5 4", "2 0 5 4", "2 1240 -2 4", "2 1240 5 -2", "2 1240 5 x",
                           "99999999999 1240 5 4", "2 1240 5 4\n"}) {
    const test::Variable variable("CLUSTER_WORKER", text);
    try {
      Handover::from_environment();
      ADD_FAILURE() << '\'' << text << "' was taken";
    } catch (const SettingError& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with("CLUSTER_WORKER='")) << error.what();
    }
  }
}

}  // namespace
}  // namespace cluster
