import KVMTrace
import KVMTypes
import Stage2Replay
import Testing

@testable import Reporting

@Suite("Files of memslots")
struct MemslotFileTests {
  private func read(_ text: String, pageBytes: Int = 4096) throws -> MemslotHistory {
    try MemslotFile.history(json: text, pageBytes: pageBytes)
  }

  /// What is wrong with a file, nil where nothing is.
  private func problem(_ text: String) -> String? {
    do {
      _ = try read(text)
      return nil
    } catch {
      return "\(error)"
    }
  }

  private func slotProblem(_ slots: String) -> String? {
    problem(#"{"version": 1, "vms": [{"slots": [\#(slots)]}]}"#)
  }

  @Test("The least that a slot needs are frames; the rest is unknown")
  func least() throws {
    let history = try read(#"{"version": 1, "vms": [{"slots": [{"gfn": 1, "pages": 2}]}]}"#)
    let life = try #require(history.vms.first?.slots.first)
    #expect(
      life.slot == Memslot(id: nil, base: GFN(1), pages: 2, hva: nil, flags: [], basis: .assumed))
    #expect(life.from == nil && life.to == nil && life.changes.isEmpty)
    #expect(history.vms[0].creator == nil && history.vms[0].tids == nil && !history.vms[0].isPartial)
  }

  @Test("What the file was made of is read and written again, and may be missing")
  func origin() throws {
    var history = MemslotHistory()
    history.origin = MemslotHistory.Origin(
      path: "a.dat", first: Nanoseconds(5), last: Nanoseconds(9), events: 3)
    let text = MemslotFile.json(history, by: ToolIdentity(version: "1", commit: "2"))
    #expect(try read(text) == history)
    #expect(
      problem(#"{"version": 1, "recording": {"path": 3, "events": 1}, "vms": []}"#)
        == "recording.path: must be a text")
    #expect(problem(#"{"version": 1, "recording": [], "vms": []}"#) == "recording: must be an object")
  }

  @Test("Every field is read, and written again")
  func everything() throws {
    let text = """
      {"version": 1, "vms": [{"creator": 100, "kvm": "0xffff0000c1bd8000", "tids": [101, 102], "toNs": 900, "partial": true,
        "slots": [{"id": 3, "gfn": "0x40000", "pages": 512, "hva": "0xffff6c000000", "flags": 2, "fromNs": 10, "toNs": 500,
                   "changes": [{"atNs": 20, "flags": 3}, {"atNs": 30, "flags": 2}]}]}]}
      """
    let history = try read(text)
    let vm = try #require(history.vms.first)
    #expect(vm.creator == ThreadID(100) && vm.kvm == KernelAddress(0xffff_0000_c1bd_8000))
    #expect(vm.tids == [ThreadID(101), ThreadID(102)] && vm.to == Nanoseconds(900) && vm.isPartial)
    let life = try #require(vm.slots.first)
    #expect(
      life.slot
        == Memslot(
          id: 3, base: GFN(0x40000), pages: 512, hva: HVA(0xffff_6c00_0000), flags: .readOnly, basis: .assumed
        ))
    #expect(life.from == Nanoseconds(10) && life.to == Nanoseconds(500))
    #expect(life.changes.map(\.flags.rawValue) == [3, 2] && life.changes.map(\.at.rawValue) == [20, 30])
    #expect(try read(MemslotFile.json(history, by: ToolIdentity(version: "0", commit: nil))) == history)
  }

  @Test("Who made a change, and its place in a tick, are read and written again")
  func origins() throws {
    let text = """
      {"version": 1, "vms": [{"creator": 100, "slots": [
        {"gfn": 1, "pages": 2, "fromNs": 5, "fromPlace": 1, "fromTid": 7, "toNs": 5, "toPlace": 4, "toTid": 8,
         "changes": [{"atNs": 5, "flags": 1, "place": 3, "tid": 9}]}, {"gfn": 1, "pages": 2, "fromNs": 5, "fromPlace": 4}]}]}
      """
    let history = try read(text)
    let life = try #require(history.vms.first?.slots.first)
    #expect(life.fromOrigin == .init(thread: ThreadID(7), place: 1))
    #expect(life.toOrigin == .init(thread: ThreadID(8), place: 4))
    #expect(life.changes.map(\.origin) == [.init(thread: ThreadID(9), place: 3)])
    #expect(try read(MemslotFile.json(history, by: ToolIdentity(version: "0", commit: nil))) == history)
  }

  @Test("What info remarks on an inferred slot is read over")
  func remarks() throws {
    var evidence = SlotEvidence()
    evidence.support = 30
    evidence.runnerUp = 3
    var life = MemslotHistory.Slot(
      Memslot(id: nil, base: GFN(1), pages: 2, hva: HVA(0x4000), flags: [], basis: .assumed))
    life.evidence = evidence
    var history = MemslotHistory()
    history.vms.append(.init())
    history.vms[0].slots.append(life)
    let text = MemslotFile.json(history, by: ToolIdentity(version: "0", commit: nil))
    #expect(text.contains(#""confidence" : 0.9"#) && text.contains(#""offsetBasis" : "derived""#))
    history.vms[0].slots[0].evidence = nil
    #expect(try read(text) == history)
  }

  @Test("A slot may take another one's place, and slots may share host memory")
  func succession() {
    let first = #"{"id": 1, "gfn": 0, "pages": 10, "hva": 4096, "toNs": 50}"#
    let second = #"{"id": 1, "gfn": 5, "pages": 10, "hva": 4096, "fromNs": 50}"#
    let alias = #"{"id": 2, "gfn": 100, "pages": 10, "hva": 4096}"#
    #expect(slotProblem("\(first), \(second), \(alias)") == nil)
  }

  @Test(
    "A file that holds no memslots is refused, and the field is named",
    arguments: [
      ("", "is not JSON"), ("[]", "is not a JSON object"), ("{}", "version: is missing"),
      (#"{"version": 2, "vms": []}"#, "version: is 2, this program reads version 1"),
      (#"{"version": 1}"#, "vms: is missing"), (#"{"version": 1, "vms": {}}"#, "vms: must be a list"),
      (#"{"version": 1, "vms": [1]}"#, "vms[0]: must be an object"),
      (#"{"version": 1, "vms": [{}]}"#, "vms[0].slots: is missing"),
      (#"{"version": 1, "vms": [], "slots": []}"#, "slots: there is no such field"),
      (#"{"version": 1, "vms": [{"slots": [], "tids": 5}]}"#, "vms[0].tids: must be a list of numbers"),
      (#"{"version": 1, "vms": [{"slots": [], "tids": [5, -1]}]}"#, "vms[0].tids[1]: must be a whole number"),
      (
        #"{"version": 1, "vms": [{"slots": [], "creator": 4194304}]}"#,
        "vms[0].creator: is 4194304, at most 4194303"
      ),
      (#"{"version": 1, "vms": [{"slots": [], "partial": 1}]}"#, "vms[0].partial: must be true or false"),
      (
        #"{"version": 1, "vms": [{"slots": [], "tids": [5]}, {"slots": [], "tids": [5]}]}"#,
        "vms[1].tids: 5 runs a vCPU of vms[0], too"
      ),
    ])
  func refused(text: String, words: String) {
    #expect(problem(text)?.hasPrefix(words) == true, "\(problem(text) ?? "no problem")")
  }

  @Test(
    "A slot that no kernel has is refused, and the field is named",
    arguments: [
      (#"{"pages": 1}"#, "gfn: is missing"), (#"{"gfn": 1}"#, "pages: is missing"),
      (#"{"gfn": 1, "pages": 0}"#, "pages: is 0"),
      (#"{"gfn": 1.5, "pages": 1}"#, "gfn: must be a whole number"),
      (#"{"gfn": true, "pages": 1}"#, "gfn: must be a whole number"),
      (#"{"gfn": "0xg", "pages": 1}"#, "gfn: must be a whole number"),
      (#"{"gfn": 1099511627776, "pages": 1}"#, "gfn: is 1099511627776, at most"),
      (#"{"gfn": 1099511627775, "pages": 2}"#, "pages: the slot ends above 52 bits"),
      (#"{"gfn": 1, "pages": 2147483648}"#, "pages: is 2147483648, at most 2147483647"),
      (#"{"gfn": 1, "pages": 1, "hva": 1}"#, "hva: is not a multiple of the host's page size"),
      (#"{"gfn": 1, "pages": 2, "hva": "0xfffffffffffff000"}"#, "hva: the slot ends above 64 bits"),
      (#"{"gfn": 1, "pages": 1, "flags": 8}"#, "flags: is 8, at most 7"),
      (#"{"gfn": 1, "pages": 1, "id": 32768}"#, "id: is 32768, at most 32767"),
      (#"{"gfn": 1, "pages": 1, "name": "ram"}"#, "name: there is no such field"),
      (#"{"gfn": 1, "pages": 1, "fromNs": 5, "toNs": 5}"#, "toNs: is not after fromNs"),
      (
        #"{"gfn": 1, "pages": 1, "fromNs": 5, "fromPlace": 2, "toNs": 5, "toPlace": 2}"#,
        "toNs: is not after fromNs"
      ),
      (
        #"{"gfn": 1, "pages": 1, "fromNs": 5, "fromPlace": 2, "changes": [{"atNs": 5, "flags": 1}]}"#,
        "changes[0].atNs: is outside"
      ),
      (#"{"gfn": 1, "pages": 1, "changes": [{"flags": 1}]}"#, "changes[0].atNs: is missing"),
      (
        #"{"gfn": 1, "pages": 1, "fromNs": 5, "changes": [{"atNs": 4, "flags": 1}]}"#,
        "changes[0].atNs: is outside"
      ),
    ])
  func impossible(slot: String, words: String) {
    let found = slotProblem(slot)
    #expect(found?.hasPrefix("vms[0].slots[0].\(words)") == true, "\(found ?? "no problem")")
  }

  @Test("Two slots at a time on one frame, or under one number, are refused")
  func overlap() {
    #expect(
      slotProblem(#"{"gfn": 0, "pages": 10}, {"gfn": 9, "pages": 1}"#)
        == "vms[0].slots[1].gfn: the slot overlaps slots[0]")
    #expect(
      slotProblem(#"{"gfn": 90, "pages": 10, "fromNs": 5}, {"gfn": 0, "pages": 100, "toNs": 6}"#)
        == "vms[0].slots[1].gfn: the slot overlaps slots[0]")
    #expect(
      slotProblem(#"{"id": 1, "gfn": 0, "pages": 10}, {"id": 1, "gfn": 10, "pages": 1}"#)
        == "vms[0].slots[1].id: is the number of slots[0], too")
  }

  @Test("A slot that comes and goes, moves and changes its flags thousands of times is read as it is written")
  func many() throws {
    var vm = MemslotHistory.VM()
    var long = MemslotHistory.Slot(
      Memslot(id: 0, base: GFN(0), pages: 8, hva: nil, flags: [], basis: .assumed))
    for time in UInt64(0)..<5_000 {
      long.changes.append(
        .init(at: Nanoseconds(time / 2), flags: time % 2 == 0 ? .logDirtyPages : []))
      // Here, and there where it goes on at the moment at which it ends here.
      var slot = Memslot(id: 1, base: GFN(64 + time % 2 * 4), pages: 8, hva: nil, flags: [], basis: .assumed)
      vm.slots.append(.init(slot, from: Nanoseconds(10 * time), to: Nanoseconds(10 * time + 10)))
      slot.id = 2
      slot.base = GFN(128)
      vm.slots.append(.init(slot, from: Nanoseconds(10 * time), to: Nanoseconds(10 * time + 5)))
    }
    vm.slots[0].from = nil
    vm.slots.append(long)
    var history = MemslotHistory()
    history.vms = [vm]
    let text = MemslotFile.json(history, by: ToolIdentity(version: "1", commit: "2"))
    var read = try read(text)
    read.vms[0].slots[1].from = Nanoseconds(0)
    history.vms[0].slots[1].from = Nanoseconds(0)
    #expect(read == history)
    let last = vm.slots.count - 2
    history.vms[0].slots[last].from = Nanoseconds(5)
    let refused = MemslotFile.json(history, by: ToolIdentity(version: "1", commit: "2"))
    #expect(problem(refused)?.hasPrefix("vms[0].slots[\(last)].gfn: the slot overlaps slots[") == true)
  }

  @Test("More slots at a time than a kernel has are refused, one after the other are not")
  func tooMany() {
    func slots(_ count: Int, _ more: (Int) -> String = { _ in "" }) -> String {
      (0..<count).map { "{\"gfn\": \($0), \"pages\": 1\(more($0))}" }.joined(separator: ",")
    }
    let found = slotProblem(slots(32_768))
    #expect(
      found?.hasSuffix("the VM has 32767 slots at that time already, and no kernel has more") == true,
      "\(found ?? "")")
    #expect(slotProblem(slots(32_768) { ", \"fromNs\": \($0 + 1), \"toNs\": \($0 + 2)" }) == nil)
  }
}
