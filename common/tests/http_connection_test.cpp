#include "http/connection.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <stdexcept>

#include "cluster/channel.hpp"
#include "state_table.hpp"

namespace cluster {
namespace {

using Event = Connection::Event;
using State = Connection::State;
using Reason = HttpServer::CloseReason;

Connection fresh() {
  return Connection(Channel::make_pair().first, 7, 1'000, 1'000);
}

TEST(HttpConnection, TheTableIsWholeAndOnlyAClosedOneStaysAsItIs) {
  test::expect_whole(Connection::table, {State::closed});
}

TEST(HttpConnection, FromAFirstByteToAnAnswerAndBack) {
  auto connection = fresh();
  for (int request = 0; request < 2; ++request) {
    EXPECT_EQ(connection.state, State::idle);
    connection.happen(Event::first_byte);
    EXPECT_EQ(connection.state, State::half_sent);
    connection.happen(Event::whole);
    EXPECT_EQ(connection.state, State::busy);
    if (request == 1) {
      connection.happen(Event::left_over);
      EXPECT_EQ(connection.state, State::sending);
    }
    connection.happen(Event::out);
    EXPECT_EQ(connection.state, State::concluding);
    connection.happen(Event::kept);
  }
}

TEST(HttpConnection, AStateBeginsWhenItIsEntered) {
  auto connection = fresh();
  connection.since -= std::chrono::seconds(1);
  const auto before = connection.since;
  connection.happen(Event::first_byte);
  EXPECT_GE(connection.since - before, std::chrono::seconds(1));
}

TEST(HttpConnection, AnImpossibleEventChangesNothing) {
  auto connection = fresh();
  EXPECT_THROW(connection.happen(Event::whole), std::logic_error) << "no byte has come";
  EXPECT_EQ(connection.state, State::idle);
  connection.happen(Event::peer);
  for (const auto event : {Event::first_byte, Event::kept, Event::peer, Event::cut}) {
    EXPECT_THROW(connection.happen(event), std::logic_error) << "it is closed for good";
  }
}

TEST(HttpConnection, EachReasonToCloseHasItsStates) {
  const std::map<Reason, std::set<State>> expected{
      {Reason::peer,
       {State::idle, State::half_sent, State::concluding, State::refusing, State::lingering}},
      {Reason::answer, {State::concluding, State::lingering}},
      {Reason::idle, {State::idle}},
      {Reason::stalled, {State::half_sent}},
      {Reason::cut, {State::half_sent, State::concluding, State::refusing}},
  };
  for (const auto& [reason, states] : expected) {
    for (const auto state : {State::idle, State::half_sent, State::busy, State::sending,
                             State::concluding, State::refusing, State::lingering, State::closed}) {
      const auto next = Connection::table.next(state, Connection::closing(reason));
      EXPECT_EQ(next == State::closed, states.contains(state))
          << "reason " << static_cast<int>(reason) << ", state " << static_cast<int>(state);
      EXPECT_EQ(next.has_value(), states.contains(state));
    }
  }
}

}  // namespace
}  // namespace cluster
