#include "cluster/listener.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <vector>

#include "support.hpp"

namespace cluster {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(fd, level, name, &value, &size);
  return value;
}

UniqueFd connect_to(const Address& address) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(address.port);
  ::inet_pton(AF_INET, address.host.c_str(), &target.sin_addr);
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // NOLINTNEXTLINE(*-reinterpret-cast): the sockets API
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&target), sizeof target) < 0) fd.reset();
  return fd;
}

std::string refusal(const Address& address) {
  try {
    listen_on(address);
    return {};
  } catch (const ListenError& error) {
    return error.what();
  }
}

TEST(Listener, BindsAFreePortAndTellsIt) {
  const auto listener = listen_on({"127.0.0.1", 0});
  EXPECT_EQ(listener.address.host, "127.0.0.1");
  EXPECT_NE(listener.address.port, 0);
  EXPECT_TRUE(connect_to(listener.address));
}

// The window of the client is full soon; the rest would wait in the kernel.
TEST(Listener, TheKernelKeepsLittleForAClientThatReadsNothing) {
  const auto listener = listen_on({"127.0.0.1", 0});
  const auto client = connect_to(listener.address);
  const UniqueFd accepted(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::string much(std::size_t{16} << 20, 'x');
  ssize_t taken = 0;
  while ((taken = ::send(accepted.get(), much.data(), much.size(), MSG_DONTWAIT)) > 0) {
  }
  int unsent = 0;
  ASSERT_EQ(::ioctl(accepted.get(), SIOCOUTQNSD, &unsent), 0);
  EXPECT_GT(unsent, 0);
  EXPECT_LT(unsent, 1 << 20);
}

TEST(Listener, ListensOnIPv6) {
  try {
    const auto listener = listen_on({"::1", 0});
    EXPECT_EQ(listener.address.text(), "[::1]:" + std::to_string(listener.address.port));
    EXPECT_NE(listener.address.port, 0);
  } catch (const ListenError& error) {
    GTEST_SKIP() << "no IPv6 here: " << error.what();
  }
}

TEST(Listener, IsNonBlockingCloseOnExecAndNotShared) {
  const auto listener = listen_on({"127.0.0.1", 0});
  const int fd = listener.fd.get();
  EXPECT_TRUE(test::is_close_on_exec(fd));
  EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(option(fd, SOL_SOCKET, SO_REUSEPORT), 0)
      << "a second server would bind the same port unnoticed";
  EXPECT_EQ(::accept(fd, nullptr, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST(Listener, AcceptedSocketsSendAtOnce) {
  const auto listener = listen_on({"127.0.0.1", 0});
  const auto client = connect_to(listener.address);
  const UniqueFd accepted(::accept4(listener.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(accepted);
  EXPECT_EQ(option(accepted.get(), IPPROTO_TCP, TCP_NODELAY), 1);
}

TEST(Listener, QueuesManyConnections) {
  const auto listener = listen_on({"127.0.0.1", 0});
  std::vector<UniqueFd> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(connect_to(listener.address));  // would hang in SYN_SENT with a short backlog
    ASSERT_TRUE(clients.back());
  }
}

TEST(Listener, ATakenPortIsRefusedInOneLineThatSaysHowToFindTheHolder) {
  const auto holder = listen_on({"127.0.0.1", 0});
  const auto text = refusal(holder.address);
  EXPECT_NE(text.find(holder.address.text()), std::string::npos) << text;
  EXPECT_NE(text.find("ss -ltnp 'sport = :" + std::to_string(holder.address.port) + "'"),
            std::string::npos)
      << text;
  EXPECT_EQ(text.find('\n'), std::string::npos) << text;
}

TEST(Listener, AnAddressThatIsNotOfThisMachineIsRefused) {
  const auto text = refusal({"203.0.113.1", 0});
  EXPECT_NE(text.find("203.0.113.1"), std::string::npos) << text;
  EXPECT_EQ(text.find("ss -ltnp"), std::string::npos) << text;
}

TEST(Listener, TextThatIsNoAddressIsRefused) {
  EXPECT_NE(refusal({"localhost.invalid", 0}).find("'localhost.invalid'"), std::string::npos);
}

TEST(Listener, ThePortIsFreeAgainAtOnce) {
  Address address;
  {
    const auto first = listen_on({"127.0.0.1", 0});
    address = first.address;
    // A connection that the server's side closes first leaves the port in TIME_WAIT.
    const auto client = connect_to(address);
    const UniqueFd accepted(::accept4(first.fd.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(accepted);
  }
  EXPECT_EQ(refusal(address), "");
}

TEST(Listener, LeavesNothingOpenWhenItIsRefused) {
  const auto holder = listen_on({"127.0.0.1", 0});
  const auto before = test::open_descriptors();
  EXPECT_NE(refusal(holder.address), "");
  EXPECT_EQ(test::open_descriptors(), before);
}

}  // namespace
}  // namespace cluster
