import Testing

@testable import KVMTrace
import UnnamedFiles

@Suite("Events of a Perfetto trace")
struct PerfettoEventTests {
  private typealias Parts = PerfettoParts

  private func read(_ events: [ProtoMessage], _ descriptors: [ProtoMessage] = []) throws -> PerfettoReading {
    try PerfettoReading(Parts.trace(Parts.packet(Parts.bundle(events).adding(11, eachOf: descriptors))))
  }

  @Test("every message that is known has the fields of the event that is known by its name")
  func messages() {
    var numbers: Set<Int> = []
    for message in PerfettoEvents.messages {
      #expect(numbers.insert(message.number).inserted)
      #expect((1..<EventSlot.messageCount).contains(message.number))
      let known = CanonicalFormats.known.first { $0.system == message.system && $0.name == message.name }
      for field in message.fields {
        if let known {
          #expect(known.fields.contains { $0.name == field.name } && field.type == nil, "\(message.name)")
        } else {
          #expect(field.type != nil, "\(message.name)")
        }
      }
    }
    #expect(numbers.count == 54)
  }

  @Test("a field that no message has is left out, in what is printed of the event, too")
  func lackingFields() throws {
    let reading = try read([
      Parts.event(5, 399, ProtoMessage().adding(1, 6)),
      Parts.event(6, 379, ProtoMessage().adding(1, 1).adding(2, 0).adding(3, 3).adding(4, 1)),
    ])
    let (exit, timers) = (reading.events[0], reading.events[1])
    #expect(exit.fields == ["reason": .unsigned(6)] && exit.text == "reason KVM_EXIT_MMIO (6)")
    #expect(timers.fields.keys.sorted() == ["direct_ptimer", "direct_vtimer", "emul_ptimer", "vcpu_id"])
    #expect(timers.text == "VCPU: 1, dv: 0, dp: 1, ep: 3")
    // Of all others the kernel's whole event is recorded.
    let lacking = PerfettoEvents.messages.filter { message in
      CanonicalFormats.known.contains {
        $0.system == message.system && $0.name == message.name && $0.fields.count > message.fields.count
      }
    }
    #expect(lacking.map(\.name).sorted() == PerfettoEvents.printFormats.keys.sorted())
    // It is the same kind of event all the same.
    let unnamed = try UnnamedFile(
      Parts.trace(Parts.packet(Parts.bundle([Parts.event(5, 399, ProtoMessage().adding(1, 6))]))))
    var exits: [UserspaceExit] = []
    _ = try TraceFile(path: unnamed.path).forEachRun(.all) { run in
      run.withRecords { exits += $0.filter { $0.kind == .userspaceExit }.map(\.userspaceExit) }
    }
    #expect(exits.map(\.reason) == [6])
  }

  @Test("fields go by their numbers, and those below 0 are as the kernel has them")
  func numbers() throws {
    let reading = try read([
      Parts.event(
        5, pid: 42, 380,
        ProtoMessage().adding(1, 0x9200_0007).adding(2, 0xffff_8000_1234_5678 as UInt64).adding(
          3, 0x8000_1000
        )
        .adding(4, 0xffff_ffff_ffff_fff0 as UInt64)),
      Parts.event(6, 379, ProtoMessage().adding(1, -1).adding(2, 0).adding(3, 3).adding(4, 1)),
      Parts.event(7, 397, ProtoMessage().adding(1, 1).adding(2, 9).adding(3, 0)),
    ])
    let (fault, timers) = (reading.events[0], reading.events[1])
    #expect(fault.name == "kvm:kvm_guest_fault" && fault.time == 5 && fault.tid == 42 && fault.cpu == 0)
    #expect(
      fault.fields == [
        "hsr": .unsigned(0x9200_0007), "hxfar": .unsigned(0xffff_8000_1234_5678),
        "ipa": .unsigned(0x8000_1000), "vcpu_pc": .unsigned(0xffff_ffff_ffff_fff0),
      ])
    #expect(timers.fields["direct_ptimer"] == .signed(-1) && timers.fields["emul_ptimer"] == .signed(3))
    #expect(
      reading.events[2].fields == ["vcpu_pc": .unsigned(9), "was": .unsigned(0), "now": .unsigned(1)])
  }

  @Test("an event whose fields stand in another order, with some that are not known")
  func order() throws {
    let message = ProtoMessage().adding(40, "new").adding(4, 3).adding(3, 2).adding(200, 1).adding(1, 7)
    let reading = try read([
      ProtoMessage().adding(380, message).adding(5, 1).adding(2, 8).adding(1, 77),
      ProtoMessage().adding(1, 79).adding(2, 8).adding(5, 1).adding(376, ProtoMessage().adding(1, 5)),
    ])
    #expect(reading.times == [77, 79])
    #expect(
      reading.events[0].fields["ipa"] == .unsigned(2) && reading.events[0].fields["hsr"] == .unsigned(7))
    #expect(reading.events[0].tid == 8)
  }

  @Test("texts, of a system call's name and of a marker")
  func texts() throws {
    let long = String(repeating: "x", count: 3000)
    let reading = try read([
      Parts.event(
        1, 390,
        ProtoMessage().adding(1, 1).adding(2, 2).adding(3, 3).adding(4, 4).adding(5, 5).adding(6, 1)
          .adding(7, "ACTLR_EL1").adding(8, 0x10)),
      Parts.event(
        2, 3, ProtoMessage().adding(1, 0xffff_8000_0000_0000 as UInt64).adding(2, "pkvm-replay:quiet\n")),
      Parts.event(3, 3, ProtoMessage().adding(1, 1).adding(2, long)),
      Parts.event(4, 402, ProtoMessage().adding(1, "f").adding(1, "second").adding(2, 1)),
    ])
    #expect(
      reading.events[0].fields == [
        "vcpu_pc": .unsigned(16), "is_write": .unsigned(1), "name": .text("ACTLR_EL1"), "Op0": .unsigned(3),
        "Op1": .unsigned(4), "CRn": .unsigned(2), "CRm": .unsigned(1), "Op2": .unsigned(5),
      ])
    #expect(reading.events[1].name == "ftrace:print")
    guard case .text(let marker)? = reading.events[1].fields["buf"] else { throw CancellationError() }
    #expect(TraceMarker(marker) == .quiet)
    #expect(reading.events[2].fields["buf"] == .text(long))
    #expect(reading.events[3].fields["fn"] == .text("second"))
  }

  @Test("events that describe themselves, before or behind the description")
  func described() throws {
    let message = ProtoMessage().adding(1, -5).adding(2, "name").adding(3, 0xffff_0000_0000_0001 as UInt64)
    let descriptor = Parts.descriptor(65_540, "probes", "mine", [("ret", 3), ("text", 9), ("kvm", 4)])
    let before = ProtoMessage().adding(1, 0).adding(11, descriptor).adding(2, Parts.event(1, 65_540, message))
    let behind = Parts.bundle([Parts.event(2, 65_540, message)]).adding(11, descriptor)
    for bundle in [before, behind] {
      let reading = try PerfettoReading(Parts.trace(Parts.packet(bundle)))
      #expect(reading.events.map(\.name) == ["probes:mine"])
      #expect(
        reading.events[0].fields == [
          "ret": .signed(-5), "text": .text("name"), "kvm": .unsigned(0xffff_0000_0000_0001),
        ])
    }
  }

  @Test("an event of a known name that describes itself is the known one")
  func knownDescribed() throws {
    let reading = try read(
      [Parts.event(1, 65_536, ProtoMessage().adding(1, -4))],
      [Parts.descriptor(65_536, "kvm", "kvm_dirty_ring_exit", [("vcpu_id", 3)])])
    #expect(reading.events[0].text == "vcpu -4")
    #expect(reading.trace.formatTexts.contains { $0.text.contains("field:int vcpu_id;\toffset:8;\tsize:4;") })
  }

  @Test("A lock has a number of the recorder's own, which is not taken for its address")
  func lockNumber() throws {
    let reading = try read(
      [Parts.event(1, 65_536, ProtoMessage().adding(1, 7).adding(2, -4))],
      [Parts.descriptor(65_536, "lock", "contention_end", [("lock_addr", 4), ("ret", 3)])])
    #expect(reading.events[0].fields == ["lock_number": .unsigned(7), "ret": .signed(-4)])
  }

  @Test("an event that describes itself has more fields than a tag of one byte can name")
  func manyFields() throws {
    let names = (1...40).map { ("f\($0)", 4) }
    let message = (1...40).reduce(ProtoMessage()) { $0.adding(UInt64($1), $1 * 1000) }
    let reading = try read([Parts.event(1, 65_600, message)], [Parts.descriptor(65_600, "g", "wide", names)])
    for field in 1...40 {
      #expect(reading.events[0].fields["f\(field)"] == .unsigned(UInt64(field * 1000)))
    }
  }

  @Test("an event of which nothing is known is counted, and its format says so")
  func unknown() throws {
    let other = ProtoMessage().adding(1, "swapper").adding(2, 0)
    let reading = try read([
      Parts.event(1, 4, other), Parts.entry(2), Parts.event(3, 65_555, other), Parts.event(4, 4, other),
      Parts.event(5, 1_000_000, other), ProtoMessage().adding(1, 6).adding(2, 1),
    ])
    #expect(
      reading.events.map(\.name) == [
        "perfetto:event_4", "kvm:kvm_entry", "perfetto:event_65555", "perfetto:event_4", "perfetto:event",
        "perfetto:event",
      ])
    let nameless = reading.trace.formatTexts.filter { $0.system == "perfetto" }
    #expect(nameless.count == 3 && nameless.allSatisfy { !$0.text.contains("format:") })
    #expect(reading.damage.isEmpty)
  }

  @Test("of two descriptions of one number the first counts, and the other is told")
  func twoDescriptions() throws {
    let reading = try read(
      [Parts.event(1, 65_537, ProtoMessage().adding(1, 3))],
      [
        Parts.descriptor(65_537, "a", "one", [("x", 4)]), Parts.descriptor(65_537, "a", "one", [("x", 4)]),
        Parts.descriptor(65_537, "a", "two", [("x", 4)]), Parts.descriptor(65_537, "a", "two", [("x", 4)]),
        Parts.descriptor(65_537, "a", "no name", []),
      ])
    #expect(reading.events[0].name == "a:one")
    #expect(
      reading.damage.map(\.what) == [
        "the event a:two has the number of a:one, or other fields than before",
        "the description of an event cannot be read",
      ])
  }

  @Test("events with the names of their fields in each of them")
  func generic() throws {
    func generic(_ time: UInt64, _ name: String, _ fields: [ProtoMessage]) -> ProtoMessage {
      Parts.event(time, 327, ProtoMessage().adding(1, name).adding(2, eachOf: fields))
    }
    func field(_ name: String, _ number: UInt64, _ value: Int) -> ProtoMessage {
      ProtoMessage().adding(1, name).adding(number, value)
    }
    let config = ProtoMessage().adding(
      33,
      ProtoMessage().adding(
        2,
        ProtoMessage().adding(
          1, ProtoMessage().adding(1, "linux.ftrace").adding(100, ProtoMessage().adding(1, "slots/commit")))))
    let text = ProtoMessage().adding(1, "comm").adding(3, "qemu")
    let events = [
      generic(1, "kvm_mmio_nisv", [field("ipa", 5, 0x9000), field("esr", 5, 7)]),
      generic(2, "commit", [field("kvm", 5, 1), field("change", 4, -2), text]),
      generic(3, "commit", [text, field("change", 4, 4), field("new", 4, 4)]), generic(4, "other", []),
    ]
    let reading = try PerfettoReading(Parts.trace(config, Parts.packet(Parts.bundle(events))))
    #expect(
      reading.events.map(\.name) == ["kvm:kvm_mmio_nisv", "slots:commit", "slots:commit", "generic:other"])
    #expect(reading.events[0].fields["ipa"] == .unsigned(0x9000))
    #expect(
      reading.events[1].fields == ["kvm": .unsigned(1), "change": .signed(-2), "comm": .text("qemu")])
    #expect(
      reading.events[2].fields == ["kvm": .unsigned(0), "change": .signed(4), "comm": .text("qemu")])
  }

  @Test("compact sched is passed over, with events and alone")
  func compactSched() throws {
    let compact = ProtoMessage().adding(1, [1, 2, 3]).adding(5, "comm")
    let alone = ProtoMessage().adding(1, 0).adding(4, compact)
    let mixed = ProtoMessage().adding(1, 0).adding(4, compact).adding(2, Parts.entry(3)).adding(4, compact)
    let reading = try PerfettoReading(Parts.trace(Parts.packet(alone), Parts.packet(mixed)))
    #expect(reading.times == [3] && reading.damage.isEmpty)
    let error = #expect(throws: IngestError.self) {
      try PerfettoReading(Parts.trace(Parts.packet(alone)))
    }
    #expect(error?.what == "is a Perfetto trace without ftrace events" && error?.advice != nil)
  }

  @Test("pages are filled one after another, and no event is lost between them")
  func pages() throws {
    let times = (0..<20_000).map { UInt64($0) * 1_000_000_000 }
    let events = times.map { Parts.entry($0, pc: $0) }
    let reading = try PerfettoReading(
      Parts.trace(Parts.packet(Parts.bundle(events)), Parts.packet(Parts.entries([1 << 50]))))
    #expect(reading.pageCount > 5)
    let isWhole = reading.times == times + [1 << 50]
    #expect(isWhole)
  }

  @Test("a stamp before the one before it stays as it is")
  func stepBack() throws {
    #expect(try read([Parts.entry(900), Parts.entry(800), Parts.entry(1000)]).times == [900, 800, 1000])
  }
}
