import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// Guests of guests, whose faults no verb replays: each says so.
@Suite("Nested guests on the command line")
struct NestedGuestOutputTests {
  /// A vCPU that faults a page in, then runs a guest of its own, which faults once.
  private func trace() throws -> UnnamedFile {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    let slot: [UInt64] = [0, 0xffff_0000, 0, 0x40000, 512, 0xff00_0000_1000, 0, 0, 0, 0]
    let (own, nested): (UInt64, UInt64) = (0x1000, 0x80_0000)
    let events: [(EventFormat, [UInt64])] = [
      (KVMEventFormats.slotCommit, slot), (KVMEventFormats.entry, [own]),
      (KVMEventFormats.exit, [2, 0x24, own]),
      (KVMEventFormats.guestFault, [own, 0x9200_0045, 0x4000_0000, 0x4000_0000]),
      (KVMEventFormats.entry, [own]),
      // ERET of the guest hypervisor.
      (KVMEventFormats.exit, [2, 0x1a, own]), (KVMEventFormats.entry, [nested]),
      (KVMEventFormats.exit, [2, 0x24, nested]),
      (KVMEventFormats.guestFault, [nested, 0x9200_0044, 0x7000, 0x7000]),
      (KVMEventFormats.entry, [nested]),
    ]
    for (position, event) in events.enumerated() {
      let payload = event.0.payload(event.1, pid: 7, flavour: flavour)
      precondition(page.append(payload, at: 1_000_000 + UInt64(position) * 1000))
    }
    let writer = TraceDatWriter(
      TraceDescription(
        flavour, formats: KVMEventFormats.all, buffers: [TraceBuffer(clock: "local", cpus: [0])]))
    try writer.append(page.finish(), cpu: 0)
    return try UnnamedFile(writer.bytes())
  }

  @Test("info says that there are some")
  func info() throws {
    let file = try trace()
    let text = try Tool.run(["info", file.path]).output
    #expect(text.contains("  nested      guests of a guest, entered once: "), "\(text)")
    let json = try Tool.run(["info", "--json", file.path]).output
    #expect(json.contains(#""nestedEntries" : 1"#), "\(json)")
    let other = try Tool.run(["info", "--json", Tool.smallRecording]).output
    #expect(!other.contains("nestedEntries"))
  }

  @Test("compare and capacity say that their figures lack them, once")
  func figures() throws {
    let file = try trace()
    let compared = try Tool.run(["compare", file.path, "--profile", "7.3", "--profile", "6.12", "--all"])
    #expect(compared.output.contains("1 fault of nested guests, which are not"), "\(compared.output)")
    #expect(compared.errors.matches(of: /1 fault of nested guests/).count == 1, "\(compared.errors)")
    let json = try Tool.run([
      "compare", file.path, "--profile", "7.3", "--profile", "6.12", "--json", "-",
    ]).output
    let report = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    #expect((report["notes"] as? [String])?.contains { $0.contains("1 fault of nested guests") } == true)
    let plan = try Tool.run(["capacity", "--vms", "2", "--memory", "1GiB", file.path])
    #expect(plan.output.contains("0:0: 1 fault of nested guests not replayed"), "\(plan.output)")
    #expect(plan.errors.contains("1 fault of nested guests, which are not replayed"), "\(plan.errors)")
  }
}
