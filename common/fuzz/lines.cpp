// Lines of the log and of the journal: whatever the text, each call writes exactly one line. A line
// of the log has no control byte but its end; a line of the journal is a JSON object with all its
// fields.
//
// The first line of an input is an event of the journal and a key of its fields; all of it is what
// is logged.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "cluster/journal.hpp"
#include "cluster/log.hpp"
#include "cluster/system.hpp"
#include "journaled.hpp"
#include "oracle.hpp"

namespace cluster::fuzz {
namespace {

constexpr int worker = 2;

// A file in memory that takes what is written.
class Caught {
 public:
  Caught() : file_(cluster::check("memfd_create", ::memfd_create("lines", MFD_CLOEXEC))) {}
  int fd() const { return file_.get(); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd()); }

  // What was written since the last call, without the line end.
  std::string take_line() {
    const auto size = ::lseek(fd(), 0, SEEK_END);
    std::string text(static_cast<std::size_t>(size), '\0');
    expect(::pread(fd(), text.data(), text.size(), 0) == size, "the file cannot be read");
    expect(::ftruncate(fd(), 0) == 0 && ::lseek(fd(), 0, SEEK_SET) == 0, "nor emptied");
    expect(!text.empty() && text.find('\n') == text.size() - 1, "not exactly one line: " + text);
    text.pop_back();
    return text;
  }

 private:
  UniqueFd file_;
};

// libFuzzer writes to standard error, so standard output is the log's alone.
Caught& standard_output() {
  static Caught instance = [] {
    Caught caught;
    cluster::check("dup2", ::dup2(caught.fd(), STDOUT_FILENO));
    return caught;
  }();
  return instance;
}

// Text that no escaping changes.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return ' ' <= c && c <= '~' && c != '\\' && c != '"'; });
}

void check_log(const std::string& text) {
  auto& output = standard_output();
  Log("worker2")("there is no ", text, '!');
  const auto line = output.take_line();
  expect(std::none_of(line.begin(), line.end(), is_control), "a control byte in the log");
  constexpr std::string_view time = "##:##:##.### ";
  const auto name = "worker2[" + std::to_string(::getpid()) + "] ";
  expect(line.size() > time.size() && std::equal(time.begin(), time.end(), line.begin(),
                                                 [](char wanted, char c) {
                                                   return wanted == '#' ? '0' <= c && c <= '9'
                                                                        : wanted == c;
                                                 }),
         "a line of the log without its time: " + line);
  const auto rest = std::string_view(line).substr(time.size());
  expect(rest.starts_with(name + "there is no "), "a line of the log without its name: " + line);
  expect(!is_plain(text) || rest == name + "there is no " + text + '!',
         "plain text is changed in the log: " + line);
}

Json parsed(const std::string& line) {
  auto entry = Json::parse(line, nullptr, false);
  expect(entry.is_object(), "a line of the journal is no JSON object: " + line);
  expect(entry.at("t").is_number_float() && entry.at("role") == "worker" &&
             entry.at("worker") == worker && entry.at("pid") == ::getpid() &&
             entry.at("event").is_string(),
         "a line of the journal lacks a field: " + line);
  return entry;
}

void check_journal(const std::string& event, const std::string& text) {
  static Caught file;
  static const Journal journal(file.path(), worker);
  journal.write(event, {{event, 1}, {"path", text}, {"id", {text, 1.5}}});
  const auto entry = parsed(file.take_line());
  expect(entry.at("path").is_string() || event == "path", "a field is lost");
  expect(!is_plain(text) || event == "path" || entry.at("path") == text, "a field is changed");
  expect(!is_plain(event) || entry.at("event") == event, "an event is changed");

  int handled = 0;
  journaled(journal, [&](int signal) { handled = signal; })(SIGHUP);
  expect(parsed(file.take_line()).at("signal") == SIGHUP && handled == SIGHUP,
         "a signal is lost, or is another");
}

}  // namespace
}  // namespace cluster::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(cluster::fuzz::text_of(data, size));
  cluster::fuzz::check_log(text);
  cluster::fuzz::check_journal(text.substr(0, text.find('\n')), text);
  return 0;
}
