import Foundation
import KVMTrace
import KVMTypes
import Stage2Model
import Stage2Replay
import Testing

@testable import PerfettoExport

/// Tracks of recordings. `tools/perfetto-check` holds them against the report, with the official message classes.
@Suite("A replay as tracks")
struct ReplayTracksTests {
  private static func trace(_ name: String) throws -> TraceFile {
    let root = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    return try TraceFile(
      path: name.hasPrefix("/") ? name : root.appendingPathComponent("traces/\(name)").path)
  }

  private static func replay(
    _ name: String, vms: Set<Int>? = nil, clock: RecordingClock = .boot, jobs: Int = 1
  ) throws -> (bytes: [UInt8], longest: Int, result: ReplayResult, losses: [Loss]) {
    let trace = try trace(name)
    var (bytes, longest) = ([UInt8](), 0)
    let tracks = ReplayTracks(.init(name: name, clock: clock), vms: vms) {
      bytes.append(contentsOf: $0)
      longest = max(longest, $0.count)
    }
    var options = ReplayOptions()
    options.jobs = jobs
    let (result, statistics) = try Replay.run(
      trace, profile: ProfileRequest(), options: options, observer: tracks.observer,
      onOperation: { try tracks.add($0) })
    let span = result.part.span(statistics)
    try tracks.finish(
      result, statistics, part: Nanoseconds(span.lowerBound)..<Nanoseconds(span.upperBound), losses: "some",
      damage: "a page is gone", window: "from a moment on")
    return (bytes, longest, result, statistics.losses)
  }

  @Test(
    "No rule of the UI is broken, and each fault and hold is there",
    arguments: ["pkvm-nvhe-7.3.4-page-fault.dat", "kvm-nvhe-7.3.4-twin-guests.dat"])
  func rules(name: String) throws {
    let (bytes, longest, result, _) = try Self.replay(name)
    let tracks = ReadTracks(bytes)
    #expect(tracks.problems.isEmpty && longest < 1 << 17)
    let faults = tracks.slices.filter { $0.arguments.contains(Argument.access.rawValue) }
    #expect(faults.count == result.vms.reduce(0) { $0 + $1.faults.total } && faults.count > 1000)
    let holds = tracks.slices.filter { $0.arguments.contains(Argument.mode.rawValue) }
    let told = result.vms.compactMap(\.lock)
    #expect(holds.count == told.reduce(0) { $0 + ($1.readHold?.count ?? 0) + ($1.writeHold?.count ?? 0) })
    for vm in result.vms {
      let kind = result.profile.isPKVM ? "pKVM" : "traditional"
      let name = "VM \(vm.id) of process \(try #require(vm.creator).rawValue), \(kind)"
      #expect(tracks.names.values.contains(name))
    }
    #expect(Set(tracks.names.keys).count == tracks.names.count && !tracks.counters.isEmpty)
  }

  @Test("It is the same however many threads work, and other inputs have other tracks")
  func same() throws {
    let name = "kvm-nvhe-7.3.4-twin-guests.dat"
    let one = ReadTracks(try Self.replay(name).bytes)
    let two = ReadTracks(try Self.replay(name, jobs: 2).bytes)
    #expect(one.slices == two.slices && one.instants == two.instants)
    let other = ReadTracks(try Self.replay("pkvm-nvhe-7.3.4-page-fault.dat").bytes)
    #expect(Set(one.names.keys).isDisjoint(with: other.names.keys))
  }

  @Test("Where events were lost is on a track of its own, whichever VM is asked for")
  func losses() throws {
    let name = "inputs/perfetto/pf-lost.perfetto-trace"
    for vms in [nil, []] as [Set<Int>?] {
      let (bytes, _, result, losses) = try Self.replay(name, vms: vms)
      let missing = try #require(result.missingEvents.first).statement
      #expect(String(decoding: bytes, as: UTF8.self).contains(missing))
      let tracks = ReadTracks(bytes)
      let lost = tracks.instants.filter { $0.name == EventName.eventsLost.rawValue }
      #expect(!losses.isEmpty && tracks.problems.isEmpty)
      #expect(lost.map(\.time).sorted() == losses.map(\.before.rawValue).sorted())
      #expect(lost.allSatisfy { tracks.names[$0.track] == "events lost" })
      #expect(tracks.categories[Category.loss.rawValue] == losses.count)
    }
    let whole = ReadTracks(try Self.replay("pkvm-nvhe-7.3.4-page-fault.dat").bytes)
    #expect(!whole.names.values.contains("events lost"))
  }

  @Test("Counters of memory begin where a map shows what there is, and a label says how it is known")
  func counters() throws {
    let (bytes, _, result, _) = try Self.replay("pkvm-nvhe-7.3.4-memslot-move.dat")
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains("mappings derived, memory assumed") && !text.contains("memory derived"))
    #expect(!ReadTracks(bytes).counters.isEmpty && result.vms.allSatisfy(\.isTableKnown))
    let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("traces/inputs/text/trace.txt")
    let lines = try String(contentsOf: source, encoding: .utf8).split(separator: "\n")
    let file = FileManager.default.temporaryDirectory.appendingPathComponent(
      "faultless-\(UUID().uuidString).txt")
    defer { try? FileManager.default.removeItem(at: file) }
    let faultless = lines.filter { !$0.contains("kvm_guest_fault:") }
    try Data(faultless.joined(separator: "\n").utf8).write(to: file)
    let (blind, _, unknown, _) = try Self.replay(file.path)
    #expect(!unknown.vms.isEmpty && unknown.vms.allSatisfy { !$0.isTableKnown })
    let tracks = ReadTracks(blind)
    let names = Set(tracks.counters.keys.compactMap { tracks.names[$0] })
    #expect(names.allSatisfy { $0.hasPrefix("mmu_lock") }, "\(names)")
  }

  @Test("Of a chosen VM alone there are tracks")
  func chosen() throws {
    let (bytes, _, result, _) = try Self.replay("kvm-nvhe-7.3.4-twin-guests.dat", vms: [1])
    let tracks = ReadTracks(bytes)
    #expect(result.vms.count == 2 && tracks.problems.isEmpty)
    #expect(!tracks.names.values.contains { $0.hasPrefix("VM 0") })
    let faults = tracks.slices.filter { $0.arguments.contains(Argument.access.rawValue) }
    #expect(faults.count == result.vms[1].faults.total)
  }

  @Test("The clock is said where Perfetto knows it")
  func clocks() throws {
    #expect(RecordingClock("boot").doubt == nil && RecordingClock("mono").doubt == nil)
    #expect(RecordingClock("local").doubt?.contains("local") == true && RecordingClock(nil).doubt != nil)
    #expect(RecordingClock("uptime", isNanoseconds: false).doubt?.contains("ticks") == true)
    for (clock, id) in [(RecordingClock.boot, 6), (.monotonic, 3), (.monotonicRaw, 5)]
      as [(RecordingClock, UInt64)]
    {
      let packets = ReadTracks(try Self.replay("pkvm-nvhe-7.3.4-page-fault.dat", clock: clock).bytes).packets
      let defaults = packets[0].messages(PacketField.tracePacketDefaults)
      #expect(defaults.compactMap { $0.number(DefaultsField.timestampClockID) } == [id])
      // A trace's own time is that of CLOCK_BOOTTIME already.
      let snapshots = packets.flatMap { $0.messages(PacketField.clockSnapshot) }
      #expect(
        snapshots.compactMap { $0.number(ClockSnapshotField.primaryTraceClock) }
          == (clock == .boot ? [] : [id]))
    }
    let unknown = try Self.replay("pkvm-nvhe-7.3.4-page-fault.dat", clock: .unknown(name: "local")).bytes
    #expect(ReadTracks(unknown).packets[0].messages(PacketField.tracePacketDefaults).isEmpty)
  }

  @Test("Numbers are the same always, and no recorder's")
  func identity() {
    let one = TrackIdentity(input: "a", position: 0)
    #expect(one.uuid(.vm, 3) == TrackIdentity(input: "a", position: 0).uuid(.vm, 3))
    var seen: Set<UInt64> = []
    for identity in [one, TrackIdentity(input: "a", position: 1), TrackIdentity(input: "b", position: 0)] {
      for number in 0..<50 as Range<UInt64> {
        for kind in [TrackIdentity.Kind.vm, .thread, .held] { seen.insert(identity.uuid(kind, number)) }
      }
      #expect(identity.sequence >= 1 << 27 && identity.sequence < 1 << 28)
    }
    #expect(seen.count == 450 && !seen.contains(0))
    #expect(TrackIdentity.pid(ofTrack: .max) == UInt64(Int32.max))
  }
}
