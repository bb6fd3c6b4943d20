import KVMTypes
import Testing
import TraceSynth
import UnnamedFiles

@testable import KVMTrace

@Suite("TraceMarker")
struct TraceMarkerTests {
  @Test("A memory marker in any order, with what is not known left out")
  func memory() throws {
    let text =
      "pkvm-replay:memory  exits=12 point=after-boot new=1 anon_huge_kb=310:2048,9:x,7:4096,8 mappings=-3 "
      + "mmio_exit_user=3 mmio_exit_kernel=x sec_page_tables_kb=88 other_huge_kb= ipa_limit=44\n"
    guard case .memory(let marker) = TraceMarker(text) else {
      Issue.record("no memory marker")
      return
    }
    var expected = MemoryMarker()
    expected.point = "after-boot"
    expected.secPageTablesBytes = 88 << 10
    expected.anonHugeBytes = [ThreadID(310): 2 << 20, ThreadID(7): 4 << 20]
    expected.otherHugeBytes = [:]
    expected.exits = 12
    expected.mmioExitUser = 3
    expected.ipaLimit = 44
    #expect(marker == expected)
  }

  @Test("Numbers that do not fit are no numbers")
  func limits() {
    guard
      case .memory(let marker) = TraceMarker(
        "pkvm-replay:memory sec_page_tables_kb=4503599627370496 exits=18446744073709551616 ipa_limit=53")
    else {
      Issue.record("no memory marker")
      return
    }
    #expect(marker == MemoryMarker())
  }

  @Test("Settings keep their order and all that stands behind the first sign of equality")
  func settings() {
    let marker = TraceMarker("pkvm-replay:lab host=pkvm append=a=b quiet")
    #expect(
      marker
        == .lab([
          .init(key: "host", value: "pkvm"), .init(key: "append", value: "a=b"),
          .init(key: "quiet", value: ""),
        ]))
  }

  @Test("The marker of a part reads what it writes, and passes over what it does not know")
  func slice() throws {
    var slice = SliceMarker()
    #expect(slice.text == nil)
    (slice.from, slice.to) = (Nanoseconds(5), Nanoseconds(7))
    (slice.isPKVM, slice.ipaBits, slice.hasHardwareAF, slice.hasDIC) = (true, 44, false, true)
    let text = try #require(slice.text)
    #expect(text == "pkvm-replay:slice from=5 to=7 path=pkvm ipa_bits=44 hardware_af=0 dic=1")
    slice.chosen = [.filter, .cpu]
    #expect(
      slice.text
        == "pkvm-replay:slice from=5 to=7 chosen=cpu,filter path=pkvm ipa_bits=44 hardware_af=0 dic=1")
    #expect(
      TraceMarker(
        "pkvm-replay:slice chosen=filter,colour,cpu from=5 to=7 path=pkvm ipa_bits=44 hardware_af=0 dic=1")
        == .slice(slice))
    slice.chosen = []
    for (kinds, words) in [
      (Set([EventKind.unmapHVARange, .entry]), "kvm_entry,kvm_unmap_hva_range"), ([], ""),
    ] {
      slice.unrecorded = kinds
      #expect(slice.text == "\(text) unrecorded=\(words)")
      #expect(TraceMarker("\(text) unrecorded=\(words),kvm_other") == .slice(slice))
    }
    slice.unrecorded = nil
    #expect(TraceMarker(text + " later=x\n") == .slice(slice))
    let odd = "pkvm-replay:slice from=-1 to= path=other ipa_bits=53 hardware_af=yes dic"
    #expect(TraceMarker(odd) == .slice(SliceMarker()))
  }

  @Test(
    "Threads are told of in lines that trace_marker has room for", arguments: ThreadsMarker.Role.allCases)
  func threads(role: ThreadsMarker.Role) {
    let threads = (1...250).map { ThreadID(Int32(4_000_000 + $0)) }
    let markers = ThreadsMarker.markers(role, naming: threads)
    #expect(markers.flatMap(\.threads) == threads)
    #expect(markers.count == 3 && markers.allSatisfy { $0.text.utf8.count < 1000 })
    for marker in markers { #expect(TraceMarker(marker.text + "\n") == .threads(marker)) }
    #expect(
      TraceMarker("pkvm-replay:\(role.rawValue) tids=7,-8,x,,0,9")
        == .threads(ThreadsMarker(role, threads: [ThreadID(7), ThreadID(9)])))
    #expect(ThreadsMarker.markers(role, naming: []).isEmpty)
  }

  @Test(
    "Other text is no marker",
    arguments: ["", "memory point=x", "pkvm-replay:", "pkvm-replay:other a=1", " pkvm-replay:lab"])
  func others(text: String) { #expect(TraceMarker(text) == nil) }

  @Test("A marker is found in a file, and its text printed")
  func file() throws {
    let flavour = TraceFlavour()
    let page = TraceBuilding.page(flavour, at: 1000) { page in
      for text in ["pkvm-replay:memory point=begin", "something else", String(repeating: "x", count: 300)] {
        let fits = page.append(MarkerFormat.payload(text, pid: 7, flavour: flavour), at: 1000)
        precondition(fits)
      }
    }
    let bytes = try TraceBuilding.file(
      flavour, formats: [MarkerFormat.print, KVMEventFormats.entry], pages: [[page]])
    let file = try UnnamedFile(bytes)
    let trace = try TraceFile(path: file.path)
    let field = try #require(trace.formats.format(id: 5)?.fields.last)
    var found: [TraceMarker?] = []
    var texts: [FieldValue] = []
    var events = trace.events(.replay(probes: false))
    while let run = events.nextRun() {
      for position in 0..<run.count {
        #expect(run[position].kind == .marker)
        found.append(run.marker(position))
        texts.append(trace.formats.value(of: field, in: run.payload(position)))
      }
    }
    var begin = MemoryMarker()
    begin.point = "begin"
    #expect(found == [.memory(begin), nil, nil])
    #expect(texts[1] == .text("something else\n"))
    #expect(texts[2] == .text(String(repeating: "x", count: 300) + "\n"))
  }
}
