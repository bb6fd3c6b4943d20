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
    #expect(reading.damage.isEmpty)
    #expect(reading.statistics.withoutFormat == 3 && reading.statistics.total == 3)
    #expect(reading.events.map(\.kind) == [.other, .other, .other])
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
    #expect(trace.damage.isEmpty && trace.formats.unparsed.isEmpty)
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
      #expect(format.name == file.deletingPathExtension().lastPathComponent)
      #expect((formats.common.pid == nil) == ["hyp", "hypervisor"].contains(system), "\(file.path)")
    }
  }
}
