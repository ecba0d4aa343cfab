#pragma once

// Everything that an exercise needs.
#include "cluster/event_loop.hpp"
#include "cluster/http_server.hpp"
#include "cluster/json.hpp"
#include "cluster/listener.hpp"
#include "cluster/log.hpp"
#include "cluster/master.hpp"
#include "cluster/process.hpp"
#include "cluster/program.hpp"
#include "cluster/settings.hpp"
#include "cluster/unix_time.hpp"
#include "cluster/uuid.hpp"
#include "cluster/worker.hpp"
