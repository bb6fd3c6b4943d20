import Foundation
import Testing
import UnnamedFiles

/// `calibrate`, `replay --costs` and `replay --contention`.
@Suite("Costs and contention of the lock")
struct LockCostsTests {
  static func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test("Costs that calibrate wrote price a replay, each with the error that it found")
  func calibrated() throws {
    let costs = try UnnamedFile()
    let fit = try Tool.run(["calibrate", Tool.recording, "--output", costs.path])
    #expect(fit.status == 0, "\(fit.errors)")
    #expect(fit.output.contains("drift") && fit.output.contains("map"))
    #expect(fit.output.contains("the second half of each operation's calls"))
    #expect(fit.output.contains("calls among those fitted to"))
    #expect(fit.output.contains("where these were emulated"))
    let model = try Self.object(try String(contentsOfFile: costs.path, encoding: .utf8))
    #expect((model["source"] as? String)?.contains("say nothing of hardware") == true)
    let quality = try #require(
      (model["quality"] as? [String: Any])?["operations"] as? [String: [String: Any]])
    let error = try #require(quality["map"]?["relativeError"] as? Double)

    let replay = try Tool.run(["replay", Tool.recording, "--costs", costs.path, "--json", "-"])
    let vm = try #require((try Self.object(replay.output)["vms"] as? [[String: Any]])?.first)
    let lock = try #require(vm["modelledLock"] as? [String: Any])
    #expect(lock["basis"] as? String == "modelled")
    let map = try #require((lock["byOperation"] as? [String: [String: Any]])?["map"])
    #expect(map["error"] as? Double == error)
    #expect(map["standardError"] as? Double == quality["map"]?["standardError"] as? Double)
    let mixed = (model["interleavedQuality"] as? [String: Any])?["operations"] as? [String: [String: Any]]
    #expect(map["interleavedError"] as? Double == mixed?["map"]?["relativeError"] as? Double)
    #expect(mixed?["map"]?["relativeError"] as? Double != error)
    let page = try Tool.run(["replay", Tool.recording, "--costs", costs.path])
    #expect(page.output.contains("interleaved") && page.output.contains("+- "))
    // Priced as many times as it was called: near the mean of the calls that did not stall, apart from the error.
    let mean =
      try #require(quality["map"]?["recordedNs"] as? Double) / #require(quality["map"]?["checked"] as? Double)
    let count = try #require(map["count"] as? Double)
    let modelled = try #require(map["totalNs"] as? Double)
    let expected = mean * count * (1 + error)
    #expect(modelled > expected / 3 && modelled < expected * 3)
  }

  @Test("Built-in costs are assumed, so their error is unknown")
  func builtIn() throws {
    let outcome = try Tool.run(["replay", Tool.recording, "--costs", "assumed"])
    #expect(outcome.status == 0 && outcome.output.contains("unknown"))
    #expect(outcome.output.contains("as the costs assumed have it"))
    #expect(outcome.output.contains("interleaved: their error on calls"))
  }

  @Test("The write lock never lets more sections through than the read lock, and more vCPUs use it more")
  func contention() throws {
    let arguments = ["replay", Tool.recording, "--contention", "--scale", "1", "--scale", "4", "--json", "-"]
    let outcome = try Tool.run(arguments)
    let vm = try #require((try Self.object(outcome.output)["vms"] as? [[String: Any]])?.first)
    let study = try #require(vm["contention"] as? [String: Any])
    let cases = try #require(study["cases"] as? [[String: Any]])
    #expect(cases.count == 4)
    func value(_ vcpus: Int, _ lock: String, _ key: String) throws -> Double {
      let found = cases.first { $0["vcpus"] as? Int == vcpus && $0["faultLock"] as? String == lock }
      return try #require(found?[key] as? Double)
    }
    for vcpus in [2, 8] {
      #expect(
        try value(vcpus, "write", "sectionsPerSecond") <= value(vcpus, "read", "sectionsPerSecond") * 1.001)
      #expect(try value(vcpus, "write", "readUtilisation") == 0)
    }
    #expect(try value(8, "write", "writeUtilisation") > value(2, "write", "writeUtilisation"))
    let traced = try #require(
      cases.first { $0["vcpus"] as? Int == 2 && $0["faultLock"] as? String == "write" })
    let recorded = try #require(study["recordedWaitNs"] as? Double)
    // What probes do not show holds the lock, too: the simulation waits less than was recorded.
    let simulated = try #require(traced["totalWaitNs"] as? Double)
    #expect(simulated > recorded / 20 && simulated < recorded * 1.5)
    let error = try #require(study["waitError"] as? Double)
    #expect(abs(error - (simulated / recorded - 1)) < 1e-9)
    let page = try Tool.run(Array(arguments.dropLast(2)))
    #expect(page.output.contains("for the recorded vCPUs and lock: error "))
    #expect(outcome.output == (try Tool.run(arguments)).output, "the same seed gives the same figures")
  }

  static let refusals: [([String], Int32)] = [
    (["replay", Tool.recording, "--costs", "dear"], 66),
    (["replay", Tool.recording, "--costs", Tool.recording], 65),
    (["replay", Tool.recording, "--contention", "--ignore-probes"], 64),
    (["replay", Tool.recording, "--contention", "--scale", "0"], 64),
    (["replay", Tool.recording, "--scale", "2"], 64), (["replay", Tool.recording, "--seed", "2"], 64),
    (["calibrate", "/dev/null"], 65),
  ]

  @Test("What cannot be priced or simulated is one line", arguments: refusals)
  func refused(arguments: [String], status: Int32) throws {
    let outcome = try Tool.run(arguments)
    #expect(outcome.status == status)
    #expect(outcome.errorLines.count == 1, "\(outcome.errors)")
  }

  @Test("Without recorded durations there is nothing to fit or to simulate")
  func noProbes() throws {
    let trace = try UnnamedFile()
    _ = try Tool.run(["synth", trace.path, "--events", "2000"])
    let fit = try Tool.run(["calibrate", trace.path])
    #expect(fit.status == 1 && fit.errorLines.count == 1 && fit.errors.contains("see the page Recording"))
    let replay = try Tool.run(["replay", trace.path, "--contention"])
    #expect(replay.errors.contains("nothing to simulate"))
  }
}
