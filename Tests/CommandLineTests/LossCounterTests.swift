import Foundation
import Testing
import TraceSynth
import UnnamedFiles

/// What the kernel's counters in a trace.dat tell of losses.
@Suite("The kernel's counters of losses")
struct LossCounterTests {
  /// A recording of one event behind a loss whose number the page has no room for.
  private static func recording(counters: String?, isLost: Bool) throws -> UnnamedFile {
    let flavour = TraceFlavour()
    var description = TraceDescription(flavour, formats: [KVMEventFormats.entry], cpus: 1)
    if let counters { description.options.append(.cpuStat(counters)) }
    let writer = TraceDatWriter(description)
    var page = SubBufferPageBuilder(flavour, timestamp: 1000)
    if isLost { page.missed = .unknown }
    _ = page.append(KVMEventFormats.entry.payload([4096], pid: 7, flavour: flavour), at: 2000)
    try writer.append(page.finish(), cpu: 0)
    return try UnnamedFile(try writer.bytes())
  }

  @Test(
    "Where pages do not tell how many events are lost, the kernel's counters do",
    arguments: [
      (
        "overrun: 1350\ncommit overrun: 9\ndropped events: 7\n", true, "1357",
        "at least 1 event in 1 place; 1,357 events by the kernel's counters", Int32(2)
      ),
      ("overrun: 0\ndropped events: 0\n", true, "", "at least 1 event in 1 place", 2),
      (
        "overrun: 5\n", false, "5",
        "nothing by the kernel that a page tells of; its counters tell of 5 events, ", 0
      ),
      (nil, true, "", "at least 1 event in 1 place", 2),
    ])
  func counters(text: String?, isLost: Bool, count: String, says: String, status: Int32) throws {
    let file = try Self.recording(counters: text.map { "CPU: 0\nentries: 0\n" + $0 }, isLost: isLost)
    let info = try Tool.run(["info", file.path])
    #expect(info.status == status && info.output.contains(says), "\(info.output)")
    #expect(count.isEmpty == !info.output.contains("counters"))
    let json = try Tool.run(["info", file.path, "--json", "--allow-loss"]).output
    let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    #expect((object?["lostByCounters"] as? Int).map(String.init) ?? "" == count)
    let compared = try Tool.run(["compare", file.path, file.path, "--json", "-", "--allow-loss"])
    let comparison = try JSONSerialization.jsonObject(with: Data(compared.output.utf8)) as? [String: Any]
    let notes = (comparison?["notes"] as? [String] ?? []).joined(separator: " ")
    let told = count.isEmpty ? "" : isLost ? "1,357 events by the kernel's counters" : "tell of 5 lost events"
    #expect(told.isEmpty ? !notes.contains("counters") : notes.contains(told), "\(notes)")
    // What follows from the pages stays what it was.
    #expect(object?["lossCount"] as? Int == (isLost ? 1 : 0))
  }

  @Test("A copy of a whole recording has the kernel's counters, and a part has none")
  func copies() throws {
    let file = try Self.recording(counters: "CPU: 0\nentries: 0\noverrun: 1350\n", isLost: true)
    let outcome = try Tool.shell(
      #"""
      d=$(mktemp -d); trap 'rm -rf "$d"' EXIT
      "$tool" convert --allow-loss "$1" "$d/1" && "$tool" slice --allow-loss "$1" "$d/2" --event kvm_entry || exit
      for copy in 1 2; do "$tool" info --allow-loss --json "$d/$copy" | grep -c lostByCounters; done
      """#, [file.path])
    #expect(outcome.output == "1\n0\n", "\(outcome.output) \(outcome.errors)")
  }
}
