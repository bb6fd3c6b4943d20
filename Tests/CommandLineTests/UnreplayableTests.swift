import Testing
import TraceSynth
import UnnamedFiles

/// Traces of hosts that have no stage 2 to replay: one line that names the host, and status 65.
@Suite("Traces that cannot be replayed")
struct UnreplayableTests {
  static let verbs: [[String]] = [
    ["replay"], ["compare", "--profile", "7.3", "--profile", "6.14"],
    ["capacity", "--vms", "2", "--memory", "1GiB"], ["calibrate"],
  ]

  private func trace(
    uname: String, formats: [EventFormat], _ payloads: (TraceFlavour) -> [[UInt8]]
  ) throws -> UnnamedFile {
    let flavour = TraceFlavour()
    var page = SubBufferPageBuilder(flavour, timestamp: 0)
    for (position, payload) in payloads(flavour).enumerated() {
      precondition(page.append(payload, at: UInt64(position + 1) * 1000))
    }
    var description = TraceDescription(flavour, formats: formats, cpus: 1)
    description.options.append(.uname(uname))
    let writer = TraceDatWriter(description)
    try writer.append(page.finish(), cpu: 0)
    return try UnnamedFile(writer.bytes())
  }

  private func expectRefusal(_ verb: [String], _ file: UnnamedFile, saying words: [String]) throws {
    let outcome = try Tool.run(verb + [file.path])
    #expect(outcome.status == 65 && outcome.output.isEmpty && outcome.errorLines.count == 1)
    for word in words { #expect(outcome.errors.contains(word), "\(outcome.errors)") }
    let info = try Tool.run(["info", file.path])
    #expect(info.status == 0 && info.output.contains("events"))
  }

  @Test("An x86 host is named", arguments: verbs)
  func x86(verb: [String]) throws {
    let file = try trace(uname: "Linux lab7 6.1.0 x86_64", formats: KVMEventFormats.all) {
      [KVMEventFormats.entry.payload([0x1000], pid: 9, flavour: $0)]
    }
    try expectRefusal(verb, file, saying: ["lab7", "x86_64", "no arm64 host"])
  }

  @Test("A trace without an event of KVM says so", arguments: verbs)
  func noEvent(verb: [String]) throws {
    let file = try trace(uname: "Linux lab8 6.1.0 aarch64", formats: KVMEventFormats.all) {
      [KVMEventFormats.contentionBegin.payload([0x1000, 5], pid: 9, flavour: $0)]
    }
    try expectRefusal(verb, file, saying: ["lab8", "has no kvm event"])
  }
}
