// One worker that serves /fast and, for clients that do not read, /big.
// Usage: PORT=0 WRITE_MS=5000 cluster-bench-http
#include <chrono>
#include <cstddef>
#include <string>

#include "cluster/cluster.hpp"

namespace {

using cluster::HttpServer;
using cluster::Master;
using cluster::Worker;

constexpr std::size_t big = std::size_t{8} << 20;

int work() {
  Worker worker("");
  HttpServer::Limits limits;
  limits.write = cluster::settings::duration("WRITE_MS", limits.write);
  HttpServer server(worker, limits);
  server.Get("/fast", [&](const HttpServer::Request&, HttpServer::Response& response) {
    server.reply(response, 200, {});
  });
  const std::string text(big, 'x');
  server.Get("/big", [&](const HttpServer::Request&, HttpServer::Response& response) {
    response.set_content(text, "text/plain");
  });
  worker.end_by_signal();
  server.start();
  worker.ready();
  worker.wait_until([&] { return worker.ending(); });
  return cluster::end_worker(worker, server);
}

int run() {
  Master master(1, cluster::listen_on(cluster::settings::address()), "");
  master.end_by_signal();
  master.start_workers();
  master.wait_until([&] { return master.all_ready() || master.ending(); });
  master.announce_ready();
  master.wait_until([&] { return master.ending(); });
  return master.end_workers(std::chrono::seconds(10)) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return cluster::run_program(argc, argv, [] { return Worker::is_one() ? work() : run(); });
}
