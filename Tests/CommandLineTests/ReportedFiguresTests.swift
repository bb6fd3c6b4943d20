import Foundation
import Testing

/// What the figures of a report are said to be of, and what is said where nothing tells them.
@Suite("Figures of a report")
struct ReportedFiguresTests {
  private static func object(_ arguments: [String]) throws -> [String: Any] {
    let outcome = try Tool.run(["replay"] + arguments + ["--json", "-"])
    return try #require(
      try JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  /// The words of a page, however its lines are broken.
  private static func words(_ arguments: [String]) throws -> String {
    try Tool.run(["replay"] + arguments).output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  }

  @Test("What nobody recorded of the lock is unknown, not 0: mkyoung tells no return")
  func untimed() throws {
    let text = try Self.words([Tool.guestBoot])
    #expect(text.contains("in mkyoung read 1,678 unknown unknown unknown unknown unknown"))
    let vm = try #require((try Self.object([Tool.guestBoot])["vms"] as? [[String: Any]])?.first)
    let lock = try #require(vm["lock"] as? [String: Any])
    let untimed = try #require(lock["untimed"] as? [String: [String: Any]])
    #expect(untimed.keys.sorted() == ["mkyoung"] && untimed["mkyoung"]?["count"] as? Int == 1678)
    let series = try #require(lock["series"] as? [[String: Any]])
    #expect(series.allSatisfy { $0["readHeldNs"] == nil && $0["writeHeldNs"] != nil } && !series.isEmpty)
    #expect(series.allSatisfy { $0["readWaitNs"] != nil })
    let directory = FileManager.default.temporaryDirectory.appending(path: "lock-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: directory) }
    _ = try Tool.run(["replay", Tool.guestBoot, "--csv", directory.path()])
    let rows = try String(contentsOf: directory.appending(path: "lock.csv"), encoding: .utf8)
      .split(separator: "\n").dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    #expect(rows.allSatisfy { $0.count == 6 && $0[2].isEmpty && !$0[3].isEmpty } && !rows.isEmpty)
  }

  @Test("All recorded holds are in the figures, those before the VM's first fault among them")
  func holds() throws {
    let report = try Self.object([Tool.guestBoot])
    let vm = try #require((report["vms"] as? [[String: Any]])?.first)
    let lock = try #require((vm["lock"] as? [String: Any])?["byOperation"] as? [String: [String: Any]])
    let agreement = try #require(report["agreement"] as? [String: [String: Any]])
    for (name, word) in [("unmap", "unmap"), ("test_clear_young", "testClearYoung"), ("map", "map")] {
      #expect(lock[word]?["count"] as? Int == agreement[name]?["recorded"] as? Int, "\(name)")
    }
    #expect(report["unattributedHolds"] == nil)
  }

  @Test("A share of the time says of which: of what was replayed, and of the VM's life")
  func life() throws {
    let path = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path
    let vms = try #require(try Self.object([path])["vms"] as? [[String: Any]])
    for vm in vms {
      let lock = try #require(vm["lock"] as? [String: Any])
      let held = try #require((lock["write"] as? [String: Any])?["heldNs"] as? Double)
      let life = try #require(lock["lifeNs"] as? Double)
      let share = try #require(lock["lifeUtilisation"] as? Double)
      #expect(abs(share - held / life) < 1e-9 && life > 0 && life < 27e9)
      #expect(try #require(lock["utilisation"] as? Double) < share)
    }
    let text = try Self.words([path])
    #expect(text.contains("of the 27.64 s replayed, "))
    // Of a part of the trace both are of that part.
    let part = try Self.object([path, "--from", "+5", "--to", "+6"])
    for vm in try #require(part["vms"] as? [[String: Any]]) {
      guard let lock = vm["lock"] as? [String: Any] else { continue }
      #expect(try #require(lock["lifeNs"] as? Double) <= 1e9)
    }
  }

  @Test("Hypercalls have a basis, and say which are not among them")
  func hypercalls() throws {
    let text = try Self.words([Tool.guestBoot])
    #expect(text.contains("reserve_vm 1 (assumed) without those that end the VM, and vcpu_load and vcpu_put"))
    let vm = try #require((try Self.object([Tool.guestBoot])["vms"] as? [[String: Any]])?.first)
    #expect(vm["hypercallsBasis"] as? String == "assumed")
    // A VM that was there before the part that is replayed was created before it.
    let part = ["--from", "+40", Tool.guestBoot]
    let later = try #require((try Self.object(part)["vms"] as? [[String: Any]])?.first)
    let calls = try #require(later["hypercalls"] as? [String: Int])
    #expect(
      calls["share_guest"] ?? 0 > 0 && calls.keys.allSatisfy { !$0.hasPrefix("init") && $0 != "reserve_vm" })
    #expect(later["hypercallsTotal"] as? Int == calls.values.reduce(0, +))
    #expect(try Self.words(part).contains("without those that create and end the VM"))
  }

  @Test("The parts of the memory add up to all of it, and peaks are said not to")
  func memoryParts() throws {
    let path = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-plain-guest.dat").path
    for trace in [Tool.guestBoot, path] {
      for vm in try #require(try Self.object([trace])["vms"] as? [[String: Any]]) {
        let memory = try #require(vm["memory"] as? [String: Any])
        let parts = try #require(memory["parts"] as? [String: Int])
        let live = try #require((memory["totalBytes"] as? [String: Int])?["live"])
        #expect(parts.values.reduce(0, +) == live)
        guard let last = memory["lastState"] as? [String: Any] else { continue }
        let lastParts = try #require(last["parts"] as? [String: Int])
        #expect(lastParts.values.reduce(0, +) == last["totalBytes"] as? Int)
      }
    }
    let text = try Self.words([Tool.guestBoot])
    #expect(
      text.contains("PGD 4 KiB, memcaches 48 KiB, EL2's structures 32 KiB, EL2's pool 16 KiB (assumed)"))
    #expect(text.contains("each figure has its most at a moment of its own"))
  }

  @Test("An assumed access flag says which rules it leaves unchecked")
  func assumedAccessFlag() throws {
    let path = Tool.root.appendingPathComponent("traces/pkvm-hvhe-7.3.4-16k-demand-paging.dat").path
    #expect(try Self.words([path]).contains("D6 and D10 are not checked"))
    #expect(try !Self.words([Tool.guestBoot]).contains("D10 are not checked"))
  }

  @Test("Another kernel than the traced one is named where it may be why events contradict the model")
  func otherKernel() throws {
    let path = Tool.root.appendingPathComponent("traces/pkvm-nvhe-7.3.4-page-table-thp.dat").path
    let outcome = try Tool.run(["replay", path, "--profile", "6.14"])
    #expect(outcome.status == 1 && outcome.errorLines.count == 1)
    #expect(outcome.errors.contains("modelled as 6.14: compare asks what another kernel would do"))
  }
}
