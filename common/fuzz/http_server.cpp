// A connection's way through the HTTP server and cpp-httplib. What the framer takes for one request
// is one request for the handlers, with the same method, path, parameters and body; and it gets
// exactly one answer, which keeps RFC 9112 and has no header but those that the server or a handler
// has set. So no request can smuggle another one in, and none can split its answer.
#include "cluster/http_server.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <mutex>
#include <set>
#include <vector>

#include "answer.hpp"
#include "cluster/system.hpp"
#include "http/message.hpp"
#include "http/request_framer.hpp"

namespace cluster::fuzz {
namespace {

using Request = HttpServer::Request;
using Response = HttpServer::Response;

// Short inputs shall reach them.
constexpr std::size_t head_limit = 1'000;
constexpr std::size_t body_limit = 1'500;
constexpr std::size_t most_empty_lines = 100;
constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
const std::string long_text(1'200, 'x');  // worth compressing

// A request as the handlers have seen it.
struct Seen {
  std::string method, target, path, version;
  httplib::Params params;  // of the query
  httplib::Headers headers;
  std::optional<std::string> body;    // if its handler has looked at it
  std::optional<std::string> answer;  // the body of the answer, if its handler has told
};

class Server {
 public:
  Server()
      : listener_(listen(address_)), server_(listener_.get(), Json::object(), journal_, limits()) {
    add_routes();
    server_.start();
  }

  // All that the server sends to a client that sends these bytes and no more.
  std::string exchange(std::string_view bytes);

  std::vector<Seen> take_seen() {
    const std::lock_guard lock(mutex_);
    return std::exchange(seen_, {});
  }

 private:
  static HttpServer::Limits limits() {
    HttpServer::Limits limits;
    limits.head = head_limit;
    limits.body = body_limit;
    limits.threads = 8;
    return limits;
  }
  static int listen(sockaddr_un& address);
  void add_routes();
  void add_readers();
  void add_providers();
  void note(const Request& request);
  void note_body(std::string body) {
    const std::lock_guard lock(mutex_);
    seen_.back().body = std::move(body);
  }
  void note_answer(std::string answer) {
    const std::lock_guard lock(mutex_);
    seen_.back().answer = std::move(answer);
  }

  sockaddr_un address_{};
  UniqueFd listener_;
  Journal journal_;
  std::mutex mutex_;  // guards seen_
  std::vector<Seen> seen_;
  HttpServer server_;
};

// A socket without a name in the file system. The server does not care of what family it is.
int Server::listen(sockaddr_un& address) {
  const int fd =
      cluster::check("socket", ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  address.sun_family = AF_UNIX;
  const auto name = "fuzz-" + std::to_string(::getpid());
  name.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  check("bind", ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
  check("listen", ::listen(fd, 16));
  return fd;
}

// libFuzzer's timer interrupts system calls.
ssize_t uninterrupted(const std::function<ssize_t()>& call) {
  ssize_t result = 0;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

std::string Server::exchange(std::string_view bytes) {
  const UniqueFd fd(cluster::check("socket", ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  cluster::check("connect", static_cast<int>(uninterrupted([&] {
                   return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_),
                                    sizeof address_);
                 })));
  while (!bytes.empty()) {
    const auto sent =
        uninterrupted([&] { return ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
    if (sent < 0) {
      break;  // the server has refused it and closed
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  ::shutdown(fd.get(), SHUT_WR);
  std::string answers;
  std::array<char, 16'384> buffer{};
  ssize_t got = 0;
  do {
    got = uninterrupted([&] { return ::recv(fd.get(), buffer.data(), buffer.size(), 0); });
    answers.append(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  } while (got > 0);
  return answers;
}

// Called before any handler, and also when there is none.
void Server::note(const Request& request) {
  const std::lock_guard lock(mutex_);
  seen_.push_back({request.method, request.target, request.path, request.version, request.params,
                   request.headers, std::nullopt, std::nullopt});
}

void Server::add_routes() {
  server_.set_pre_routing_handler([this](const Request& request, Response&) {
    note(request);
    return httplib::Server::HandlerResponse::Unhandled;
  });
  const auto echo = [this](const Request& request, Response& response) {
    if (request.method == "GET" || !request.is_multipart_form_data()) {  // else it is in files
      note_body(request.body);
    }
    note_answer(request.body);
    response.set_content(request.body, "text/plain");
  };
  server_.Get("/", echo);
  server_.Post("/echo", echo);
  server_.Get("/users/:id/posts", echo);  // a path with a parameter, where cpp-httplib knows it
  server_.Get(R"(/files/([a-z]+)\.(txt|md))", [this](const auto& request, auto& response) {
    server_.reply(response, 200, {{"name", request.matches[1].str()}});
  });
  server_.Put("/nothing", [](const auto&, auto& response) {
    response.set_content("a body that must not be sent", "text/plain");
    response.status = 204;
  });
  server_.Get("/throw", [](const auto& request, auto&) {
    throw std::runtime_error(request.get_param_value("q"));
  });
  server_.Get(R"(/header/[\s\S]*)", [](const auto& request, auto& response) {
    response.set_header("X-Path", request.path);
    response.set_header("X-Query", request.get_param_value("q"));
  });
  add_readers();
  add_providers();
}

// What cpp-httplib reads itself.
void Server::add_readers() {
  server_.Post("/form", [this](const auto& request, auto& response) {
    Json parts = Json::array();
    for (const auto& [name, part] : request.files) {
      parts.push_back({name, part.filename, part.content_type, part.content});
    }
    server_.reply(response, 200, {{"parts", parts}, {"params", request.params.size()}});
  });
  server_.Post("/reader", [this](const auto& request, auto& response, const auto& read) {
    if (request.is_multipart_form_data()) {
      return;  // this is not how such a body is read
    }
    std::string body;
    read([&](const char* data, std::size_t size) {
      body.append(data, size);
      return true;
    });
    response.set_content(body, "text/plain");
    note_answer(body);
    note_body(std::move(body));
  });
}

// What cpp-httplib writes piece by piece.
void Server::add_providers() {
  server_.Get("/long", [this](const auto&, auto& response) {
    note_answer(long_text);
    response.set_content_provider(long_text.size(), "text/plain",
                                  [](std::size_t offset, std::size_t length, auto& sink) {
                                    return sink.write(long_text.data() + offset, length);
                                  });
  });
  const auto in_pieces = [this](const auto& request) {
    const auto text = request.get_param_value("q");
    note_answer(text);
    return [text](std::size_t offset, httplib::DataSink& sink) {
      constexpr std::size_t piece = 5;
      const auto rest = std::string_view(text).substr(std::min(offset, text.size()), piece);
      if (rest.empty()) {
        sink.done();
        return true;
      }
      return sink.write(rest.data(), rest.size());
    };
  };
  server_.Get("/chunked", [in_pieces](const auto& request, auto& response) {
    response.set_chunked_content_provider("text/plain", in_pieces(request));
  });
  server_.Get("/to-the-end", [in_pieces](const auto& request, auto& response) {
    response.set_content_provider("text/plain", in_pieces(request));
  });
}

// What a client asks for, as the framer takes it apart: a request, or the refusal that is the last
// answer.
struct Asked {
  std::string method;
  std::optional<Request> request;
  std::string body;
  int refusal = 0;
  bool closes = true;
};

class Connection {
 public:
  explicit Connection(std::string_view bytes) : rest_(bytes) {
    while (take_request()) {
    }
  }
  const std::vector<Asked>& asked() const { return asked_; }
  bool awaits_continue() const { return awaits_continue_; }  // for a body that never comes

 private:
  bool take_request();
  bool refuse(int status) {
    auto line = rest_;
    line = take_line(line);
    asked_.push_back({std::string(line.substr(0, line.find(' '))), std::nullopt, "", status});
    return false;
  }

  std::string_view rest_;
  std::vector<Asked> asked_;
  bool awaits_continue_ = false;
};

// False: no further request is taken.
bool Connection::take_request() {
  std::size_t empty_lines = 0;
  for (; rest_.starts_with("\r\n"); ++empty_lines) {
    rest_.remove_prefix(2);
  }
  if (empty_lines > most_empty_lines) {
    return refuse(400);
  }
  RequestFramer framer(head_limit, body_limit);
  const auto state = framer.advance(rest_);
  if (state == RequestFramer::State::incomplete) {
    awaits_continue_ = framer.take_expect_continue();
    return false;
  }
  if (state == RequestFramer::State::refused) {
    return refuse(framer.status());
  }
  httplib::Request request;
  if (!parse_request(rest_.substr(0, framer.head_size()), request)) {
    return refuse(400);
  }
  const auto method = request.method;
  asked_.push_back({method, std::move(request), framer.take_body(), 0, framer.wants_close()});
  rest_.remove_prefix(framer.size());
  return !asked_.back().closes && !rest_.empty();
}

// Without what the server changes, since it has read the body.
httplib::Headers comparable(httplib::Headers headers) {
  for (const auto* name : {"Content-Length", "Transfer-Encoding", "Expect"}) {
    headers.erase(name);
  }
  return headers;
}

// A path with each %xx as the byte that it means. It shares no code with the server.
std::string decoded(std::string_view path) {
  const auto is_digit = [&](std::size_t at) {
    return at < path.size() && std::isxdigit(static_cast<unsigned char>(path[at])) != 0;
  };
  std::string result;
  for (std::size_t i = 0; i < path.size(); ++i) {
    const bool encoded = path[i] == '%' && is_digit(i + 1) && is_digit(i + 2);
    result += encoded
                  ? static_cast<char>(std::stoi(std::string(path.substr(i + 1, 2)), nullptr, 16))
                  : path[i];
    i += encoded ? 2 : 0;
  }
  return result;
}

void check_seen(const Asked& asked, const Seen& seen) {
  const auto& request = *asked.request;
  expect(seen.method == request.method && seen.target == request.target &&
             seen.path == request.path && seen.version == request.version,
         "a handler has seen another request line: " + seen.method + " " + seen.path);
  expect(seen.params == request.params, "a handler has seen other parameters");
  const std::string_view target = seen.target;
  expect(!target.starts_with('/') ||
             seen.path == decoded(target.substr(0, target.find_first_of("?#"))),
         "a handler has seen another path than was asked for: " + seen.path);
  expect(comparable(seen.headers) == comparable(request.headers),
         "a handler has seen other headers");
  expect(!seen.body || *seen.body == asked.body, "a handler has seen another body");
}

void check_answer(const Asked& asked, const Answer& answer) {
  static const std::set<std::string_view> known{
      "accept-ranges", "content-type", "content-length", "content-encoding", "transfer-encoding",
      "connection",    "date",         "allow",          "x-path",           "x-query"};
  for (const auto& [name, value] : answer.headers) {
    expect(known.contains(name), "a header that nobody has set: " + name);
  }
  expect(answer.has("date"), "an answer without a date");
  expect(answer.closes || !asked.closes, "an answer does not say that the connection closes");
  expect(asked.refusal == 0 || answer.status == asked.refusal,
         "another refusal than the framer's: " + std::to_string(answer.status));
  const bool is_json = answer.value("content-type") == "application/json";
  expect(!is_json || answer.has("content-encoding") || asked.method == "HEAD" ||
             Json::accept(answer.body),
         "an answer that is no JSON: " + answer.body);
}

void check_content(const Seen& seen, const Answer& answer) {
  expect(!answer.has("x-path") || answer.value("x-path") == seen.path, "another X-Path");
  const auto query = seen.params.find("q");
  expect(!answer.has("x-query") ||
             answer.value("x-query") == (query != seen.params.end() ? query->second : ""),
         "another X-Query");
  expect(!seen.answer || answer.has("content-encoding") || answer.body == *seen.answer,
         "another body than the handler's: " + answer.body);
}

void check(std::string_view bytes) {
  static Server server;
  const auto answers = server.exchange(bytes);
  const auto seen = server.take_seen();
  const Connection connection(bytes);
  AnswerReader reader(answers);
  auto handled = seen.begin();
  bool closes = false;
  for (auto asked = connection.asked().begin(); asked != connection.asked().end() && !closes;
       ++asked) {
    if (asked->request && asked->request->has_header("Expect")) {
      reader.take(go_on);
    }
    expect(!reader.empty(), "a request has no answer: " + asked->method);
    const auto answer = reader.take_answer(asked->method == "HEAD");
    check_answer(*asked, answer);
    if (asked->request) {
      expect(handled != seen.end(), "a request reached no handler");
      check_seen(*asked, *handled);
      check_content(*handled, answer);
      ++handled;
    }
    closes = answer.closes;
  }
  if (!closes && connection.awaits_continue()) {
    reader.take(go_on);
  }
  expect(reader.empty(), "an answer to what nobody has asked");
  expect(handled == seen.end(), "a handler has seen what nobody has asked");
}

}  // namespace
}  // namespace cluster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  cluster::fuzz::check(cluster::fuzz::text_of(data, size));
  return 0;
}
