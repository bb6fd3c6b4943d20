import Foundation
import KVMTypes
import Testing
import TraceSynth
import UnnamedFiles

@testable import KVMTrace

/// Events are known by name; numbers and offsets are the trace's own.
@Suite("Formats of traces")
struct FormatTests {
  private func format(
    _ name: String, system: String, id: UInt16, _ fields: [(String, Int, Int)]
  ) -> TraceSynth.EventFormat {
    var text = "name: \(name)\nID: \(id)\nformat:\n"
    for (index, (field, offset, size)) in fields.enumerated() {
      // A blank line parts the fields that all events have from the others.
      if index > 0, !field.contains(" common_"), fields[index - 1].0.contains(" common_") { text += "\n" }
      text +=
        "\tfield:\(field);\toffset:\(offset);\tsize:\(size);\tsigned:\(field.hasPrefix("int") ? 1 : 0);\n"
    }
    text += "\nprint fmt: \"%lx\", REC->\(fields.last!.0.split(separator: " ").last!)\n"
    return TraceSynth.EventFormat(
      system: system, name: name, id: id, fields: [], printFormat: "", textOverride: text)
  }

  @Test("fields at other places, and other numbers")
  func moved() throws {
    let moved = format(
      "kvm_guest_fault", system: "kvm", id: 4711,
      [
        ("unsigned short common_type", 4, 2), ("int common_pid", 0, 4), ("unsigned long long ipa", 6, 8),
        ("unsigned long hxfar", 14, 8), ("unsigned int hsr", 22, 4), ("unsigned long vcpu_pc", 26, 8),
        ("unsigned long unheard_of", 34, 8),
      ])
    var payload = TraceBytes(.little)
    payload.u32(UInt32(bitPattern: -3))
    payload.u16(4711)
    payload.u64(0x8_0000_1000)
    payload.u64(0xffff_0000_0000_0001)
    payload.u32(0x9200_0047)
    payload.u64(0x1234)
    payload.u64(99)
    let page = TraceBuilding.page(at: 5) { $0.event(payload.bytes, delta: 0) }
    let reading = try Reading(try TraceBuilding.file(formats: [moved], pages: [[page]]))
    #expect(reading.damage.isEmpty)
    let event = try #require(reading.events.first)
    #expect(event.kind == .guestFault && event.tid == -3 && event.record.formatID == 4711)
    let fault = GuestFault(
      ipa: IPA(0x8_0000_1000), esr: ESR(0x9200_0047), far: GuestVA(0xffff_0000_0000_0001), pc: GuestVA(0x1234)
    )
    #expect(event.record.guestFault == fault)
    #expect(reading.values(event)["unheard_of"] == .unsigned(99))
  }

  @Test("events of the hypervisor: no thread, nothing aligned")
  func hypervisor() throws {
    let hyp = format(
      "host_mem_abort", system: "hyp", id: 2,
      [
        ("unsigned short common_type", 0, 2), ("u64 esr", 2, 8), ("u64 addr", 10, 8), ("u8 flag", 18, 1),
        ("int err", 19, 4),
      ])
    var payload = TraceBytes(.little)
    payload.u16(2)
    payload.u64(0x9300_0007)
    payload.u64(0x4000_0000)
    payload.u8(1)
    payload.u32(UInt32(bitPattern: -22))
    let page = TraceBuilding.page(at: 5) { $0.event(payload.bytes, delta: 0) }
    let reading = try Reading(try TraceBuilding.file(formats: [hyp], pages: [[page]]))
    let event = try #require(reading.events.first)
    #expect(event.kind == .other && event.tid == -1)
    let values = reading.values(event)
    #expect(values["esr"] == .unsigned(0x9300_0007) && values["addr"] == .unsigned(0x4000_0000))
    #expect(values["flag"] == .unsigned(1) && values["err"] == .signed(-22))
  }

  @Test("an event without the fields that its meaning needs is any event")
  func fieldMissing() throws {
    let poor = format(
      "kvm_guest_fault", system: "kvm", id: 9,
      [("unsigned short common_type", 0, 2), ("unsigned long ipa", 8, 8)])
    let page = TraceBuilding.page(at: 5) { $0.event([9, 0] + [UInt8](repeating: 1, count: 14), delta: 0) }
    let reading = try Reading(try TraceBuilding.file(formats: [poor], pages: [[page]]))
    #expect(reading.events.map(\.kind) == [.other])
    #expect(reading.statistics.counts.map(\.name) == ["kvm_guest_fault"])
  }

  @Test("an event shorter than its fields is counted, and has no meaning")
  func shortEvent() throws {
    let page = TraceBuilding.page(at: 5) { $0.event([65, 0, 0, 0, 7, 0, 0, 0], delta: 0) }
    let reading = try Reading(try TraceBuilding.file(pages: [[page]]))
    let event = try #require(reading.events.first)
    #expect(event.kind == .other && event.tid == 7)
    #expect(reading.values(event)["vcpu_pc"] == .missing)
  }

  @Test("events without a format are counted as such", arguments: [[], [KVMEventFormats.exit]])
  func unknown(formats: [TraceSynth.EventFormat]) throws {
    let reading = try Reading(
      try TraceBuilding.file(formats: formats, pages: [[TraceBuilding.entries([1, 2, 3])]]))
    #expect(reading.statistics.withoutFormat == 3 && reading.statistics.total == 3)
    #expect(reading.events.map(\.kind) == [.other, .other, .other])
    // They may be of the format that no event has.
    #expect(reading.damage.count == formats.count && reading.statistics.mayHideKinds == !formats.isEmpty)
  }

  @Test("events without a format hide nothing where all formats that a replay reads have some")
  func foreign() throws {
    let stray = TraceBuilding.page(at: 5) { page in
      page.event(TraceBuilding.entry(), delta: 0)
      page.event([9, 2, 0, 0, 7, 0, 0, 0], delta: 1)
    }
    let reading = try Reading(try TraceBuilding.file(formats: [KVMEventFormats.entry], pages: [[stray]]))
    #expect(reading.statistics.withoutFormat == 1)
    #expect(reading.damage.isEmpty && !reading.statistics.mayHideKinds)
  }

  /// A file with two formats and events of the first, in which `digit` of the line of `field` in the second is another one.
  private func withDigit(
    _ digit: String, behind label: String, of field: String,
    in format: TraceSynth.EventFormat = KVMEventFormats.guestFault
  ) throws -> (reading: Reading, format: Int) {
    let flavour = TraceFlavour(version: .v6)
    var bytes = try TraceBuilding.file(
      flavour, formats: [KVMEventFormats.entry, format], pages: [[TraceBuilding.entries([1], flavour)]])
    let name = try #require(bytes.firstRange(of: Array("name: \(format.name)\n".utf8)))
    let line = try #require(bytes.firstRange(of: Array(field.utf8), from: name.upperBound))
    let place = try #require(bytes.firstRange(of: Array(label.utf8), from: line.lowerBound))
    bytes.patch(Array(digit.utf8), at: place.upperBound)
    return (try Reading(bytes), name.lowerBound)
  }

  @Test(
    "a digit that puts a field where it cannot lie is damage",
    arguments: [
      ("vcpu_pc", "offset:", "9"), ("vcpu_pc", "offset:", "0"), ("vcpu_pc", "size:", "4"),
      ("hsr", "offset:", "26"), ("hsr", "offset:", "17"), ("hsr", "offset:", "36"), ("hsr", "size:", "1"),
      ("ipa", "offset:", "33"), ("ipa", "offset:", "42"), ("ipa", "signed:", "1"), ("ipa", "size:", "7"),
    ])
  func misplaced(field: String, label: String, digit: String) throws {
    let (reading, format) = try withDigit(digit, behind: label, of: " \(field);")
    #expect(reading.damage.map(\.offset) == [format])
    #expect(reading.damage.first?.what.contains("nothing is certain") == true)
    #expect(reading.trace.account.uncertainFrom == Nanoseconds(0))
    #expect(reading.trace.account.kindsWithoutFields == [.guestFault])
    #expect(reading.events.map(\.kind) == [.entry])
  }

  @Test("a damaged format that a replay does not read costs its own events alone")
  func misplacedElsewhere() throws {
    let other = format(
      "odd", system: "mine", id: 700,
      [
        ("unsigned short common_type", 0, 2), ("int common_pid", 4, 4), ("u8 one", 8, 1),
        ("u32 two", 14, 4),
      ])
    let page = TraceBuilding.entries([1])
    let reading = try Reading(
      try TraceBuilding.file(formats: [KVMEventFormats.entry, other], pages: [[page]]))
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("its field u32 two cannot lie"))
    #expect(reading.trace.account.uncertainFrom == nil)
  }

  @Test("two events of one number: nobody knows which it is of")
  func renumbered() throws {
    var twin = KVMEventFormats.exit
    twin.id = KVMEventFormats.entry.id
    let reading = try Reading(
      try TraceBuilding.file(
        formats: [KVMEventFormats.entry, twin], pages: [[TraceBuilding.entries([1])]]))
    #expect(reading.damage.count == 1 && reading.damage[0].what.contains("the number of another event"))
    #expect(reading.events.map(\.kind) == [.other])
    #expect(reading.trace.account.uncertainFrom == Nanoseconds(0))
  }

  @Test("fields as kernels lay them are good")
  func laid() throws {
    let head = "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
    let fields: [String: [(String, Int, Int, Int)]] = [
      "mine": [
        ("unsigned char common_flags", 2, 1, 0), ("int common_pid", 4, 4, 1),
        ("unsigned char common_preempt_lazy_count", 8, 1, 0), ("", 0, 0, 0),
        // The head of a record is as long as its alignment asks.
        ("u8 mac[6]", 12, 6, 0), ("bool is", 18, 1, 0), ("__data_loc char[] name", 20, 4, 0),
        ("struct foo what", 24, 20, 0), ("enum small kind", 44, 1, 0), ("const void * where", 48, 8, 0),
        ("__rel_loc unsigned long[] mask", 56, 4, 0), ("dev_t dev", 60, 4, 0), ("ktime_t when", 64, 8, 1),
        ("unsigned long args[6]", 72, 48, 0), ("char comm[TASK_COMM_LEN]", 120, 16, 1),
        ("int (*call)(void)", 136, 8, 0), ("s64 last", 144, 8, 1), ("unsigned long rest[]", 152, 0, 0),
      ],
      // As old kernels write where the data of an event is, and as f2fs misdeclares an array.
      "ftrace": [("", 0, 0, 0), ("unsigned long ip", 8, 8, 0), ("char buf", 16, 0, 0)],
      "f2fs": [("", 0, 0, 0), ("ino_t ino", 8, 8, 0), ("nid_t nid[3]", 28, 4, 0), ("int depth", 28, 4, 1)],
      "task": [("", 0, 0, 0), ("pid_t pid", 4, 4, 1), ("char comm[32]", 8, 16, 0), ("short adj", 24, 2, 1)],
      // Probes and EL2 pack.
      "kprobes": [("", 0, 0, 0), ("u8 one", 2, 1, 0), ("u64 two", 3, 8, 0), ("s16 three", 11, 2, 1)],
      "syscalls": [("", 0, 0, 0), ("int nr", 8, 4, 1), ("unsigned int fd", 16, 8, 0), ("int x", 40, 8, 1)],
      "synthetic": [
        ("", 0, 0, 0), ("pid_t pid", 8, 4, 1), ("char comm[16]", 16, 16, 1), ("u8 x", 272, 1, 1),
      ],
    ]
    for (system, fields) in fields {
      var text = "name: some\nID: 7\nformat:\n\(head)"
      for (declaration, offset, size, sign) in fields {
        text +=
          declaration.isEmpty
          ? "\n" : "\tfield:\(declaration);\toffset:\(offset);\tsize:\(size);\tsigned:\(sign);\n"
      }
      let formats = Array("\(text)\nprint fmt: \"\"\n".utf8).withUnsafeBytes { bytes in
        EventFormats([(system, bytes)], bigEndian: false, kernelLongSize: 8)
      }
      #expect(formats.faults.misplaced.isEmpty, "\(system)")
    }
  }

  @Test("the same name in two systems")
  func twins() throws {
    let twin = TraceSynth.EventFormat(
      system: "mine", name: "kvm_entry", id: 700, fields: KVMEventFormats.entry.fields, printFormat: "\"\"")
    let page = TraceBuilding.page(at: 5) { page in
      page.event(TraceBuilding.entry(), delta: 0)
      page.event(twin.payload([1], pid: 7, flavour: TraceFlavour()), delta: 1)
    }
    let reading = try Reading(
      try TraceBuilding.file(formats: [KVMEventFormats.entry, twin], pages: [[page]]))
    #expect(reading.events.map(\.kind) == [.entry, .other])
    #expect(reading.statistics.counts.map(\.system) == ["kvm", "mine"])
  }

  @Test("a format that is damaged is reported, and the others are read")
  func damaged() throws {
    var bytes = try TraceBuilding.file(
      TraceFlavour(version: .v6), formats: [KVMEventFormats.entry, KVMEventFormats.exit],
      pages: [[TraceBuilding.entries([1])]])
    let place = try #require(bytes.firstRange(of: Array("name: kvm_exit\nID".utf8)))
    bytes[place.upperBound] = UInt8(ascii: "x")
    let reading = try Reading(bytes)
    #expect(reading.damage.map(\.offset) == [place.lowerBound])
    #expect(reading.damage.first?.what.contains("kvm_exit") == true)
    #expect(reading.events.map(\.kind) == [.entry])
  }

  @Test("a format whose fields cannot be read costs its event, and is damage only where a replay needs it")
  func unreadable() throws {
    for (format, damage) in [(KVMEventFormats.contentionBegin, 1), (KVMEventFormats.slotCommit, 0)] {
      var odd = format
      odd.textOverride =
        "name: \(odd.name)\nID: \(odd.id)\nformat:\n\tfield:int (;\toffset:8;\tsize:4;\tsigned:1;\n"
      let bytes = try TraceBuilding.file(
        formats: [KVMEventFormats.entry, odd], pages: [[TraceBuilding.entries([1])]])
      let file = try UnnamedFile(bytes)
      let trace = try TraceFile(path: file.path)
      #expect(trace.unreadableEvents == ["\(odd.system):\(odd.name)"] && trace.damage.count == damage)
      #expect(try Reading(bytes).events.map(\.kind) == [.entry])
    }
  }

  @Test(
    "a field that is no number costs its event where a replay needs it, and is damage", arguments: ["9", "0"])
  func noNumber(size: String) throws {
    let formats = [KVMEventFormats.entry, KVMEventFormats.unmapHVARange]
    let flavour = TraceFlavour(version: .v6)
    var bytes = try TraceBuilding.file(
      flavour, formats: formats, pages: [[TraceBuilding.entries([1], flavour)]])
    #expect(try Reading(bytes).damage.isEmpty)
    let name = try #require(bytes.firstRange(of: Array("name: kvm_unmap_hva_range".utf8)))
    let field = try #require(bytes.firstRange(of: Array("start;".utf8), from: name.upperBound))
    let told = try #require(bytes.firstRange(of: Array("size:8".utf8), from: field.upperBound))
    bytes[told.upperBound - 1] = UInt8(ascii: Unicode.Scalar(size)!)
    let reading = try Reading(bytes)
    #expect(reading.damage.map(\.offset) == [name.lowerBound])
    #expect(reading.damage.first?.what.contains("a replay lacks them") == true)
    #expect(Set(reading.trace.formats.formats.map(\.kind)) == [.entry, .other])
    #expect(reading.trace.account.kindsWithoutFields == [.unmapHVARange])
  }

  @Test("what one format says of the fields of all events is not believed", arguments: 0..<3)
  func contradicting(position: Int) throws {
    let formats = [KVMEventFormats.entry, KVMEventFormats.exit, KVMEventFormats.guestFault]
    let flavour = TraceFlavour(version: .v6)
    let whole = try TraceBuilding.file(
      flavour, formats: formats, pages: [[TraceBuilding.entries([1, 2], flavour)]])
    let name = try #require(whole.firstRange(of: Array("name: \(formats[position].name)\n".utf8)))
    for (field, digit) in [("common_pid;\toffset:", "0"), ("common_type;\toffset:", "2")] {
      var bytes = whole
      let told = try #require(bytes.firstRange(of: Array(field.utf8), from: name.upperBound))
      bytes[told.upperBound] = UInt8(ascii: Unicode.Scalar(digit)!)
      let reading = try Reading(bytes)
      #expect(reading.events.map(\.kind) == [.entry, .entry] && reading.events.map(\.tid) == [7, 7])
      #expect(reading.damage.map(\.offset) == [name.lowerBound])
      #expect(reading.damage.first?.what.contains("elsewhere than other formats") == true)
    }
  }

  @Test("every format of a recording is understood", arguments: Recordings.own + Recordings.foreign)
  func understood(path: String) throws {
    let trace = try TraceFile(path: path)
    #expect(
      trace.damage.isEmpty && trace.formats.faults.unparsed.isEmpty && trace.formats.faults.misplaced.isEmpty)
  }

  @Test(
    "format files of other kernels",
    .enabled(if: Recordings.formats != nil, "no formats of other kernels are there"))
  func others() throws {
    let root = try #require(Recordings.formats)
    let files =
      FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)?
      .compactMap { $0 as? URL }.filter { $0.pathExtension == "format" } ?? []
    #expect(files.count > 20)
    for file in files {
      let system = file.deletingLastPathComponent().lastPathComponent
      let formats = try Data(contentsOf: file).withUnsafeBytes { text in
        EventFormats([(system, text)], bigEndian: false, kernelLongSize: 8)
      }
      let format = try #require(formats.formats.first, "\(file.path)")
      #expect(formats.faults.misplaced.isEmpty, "\(file.path)")
      #expect(format.name == file.deletingPathExtension().lastPathComponent)
      #expect((formats.common.pid == nil) == ["hyp", "hypervisor"].contains(system), "\(file.path)")
    }
  }
}
