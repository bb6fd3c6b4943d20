import Testing
import UnnamedFiles

@testable import KVMTrace

/// What looks like damage in a text and is none.
@Suite("Texts that are whole")
struct HealthyTextTests {
  private static func read(_ lines: [String]) throws -> TextReading {
    try TextReading(lines.map { $0 + "\n" }.joined())
  }

  @Test(
    "what somebody printed may quote the line of another trace", arguments: ["tracing_mark_write", "bputs"])
  func quotedLine(event: String) throws {
    let quoted = "guest 1:             sshd-139     [000] .....     1.000000: sched_wakeup: comm=a"
    let reading = try Self.read([
      "             vmm-139     [000] .....     1.000001: \(event): \(quoted)",
      "             vmm-139     [000] .....     1.000002: kvm_entry: PC: 0x1",
    ])
    #expect(reading.damage.isEmpty && reading.gaps.isEmpty, "\(reading.damage)")
    #expect(reading.events.count == 2)
  }

  @Test("a text of many marks is looked at once")
  func manyMarks() throws {
    let marks = String(repeating: "-1[1]", count: 12_000)
    let reading = try Self.read([
      "             vmm-139     [000] .....     1.000001: something: \(marks)",
      "             vmm-139     [000] .....     1.000002: kvm_entry: PC: 0x1",
    ])
    #expect(reading.events.count == 2)
  }

  @Test("trace-cmd names each of several files before what it says of it")
  func severalFiles() throws {
    let reading = try Self.read([
      " host.dat: cpus=2", "guest.dat: cpus=2",
      "             vmm-139     [000]     1.000002: kvm_entry: PC: 0x1",
    ])
    #expect(reading.damage.isEmpty, "\(reading.damage)")
  }

  @Test("perf script writes the address and the function of an event behind it, if it is asked to")
  func symbols() throws {
    let head = "vmm   139 [001]     1.000001: "
    let symbol = " ffff80008011c6f8 kvm_arch_commit_memory_region+0x0 ([kernel.kallsyms])"
    let events = [
      "kvm:kvm_entry: PC: 0x0000ffff8011c6f8",
      "slots:commit: (ffff80008011c6f8) kvm=0xffff0000c41a6000 change=0 gfn=262144 npages=512 hva=281472829227008 id=0 flags=0 ogfn=0 onpages=0",
    ]
    let plain = try Self.read(events.map { head + $0 })
    let with = try Self.read(events.map { head + $0 + symbol })
    #expect(plain.damage.isEmpty && with.damage.isEmpty, "\(with.damage)")
    #expect(plain.events.count == 2 && with.events.map(\.text) == plain.events.map(\.text))
    // What is no address belongs to the event.
    let other = try Self.read([head + "sched:other: text=a b (c)", head + events[0]])
    #expect(other.damage.isEmpty && other.events.count == 2)
  }
}
