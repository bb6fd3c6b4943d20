import KVMTrace
import KVMTypes
import Testing

@Suite("EventRun")
struct EventRunTests {
  private let cpu = CPUIndex(3)
  private let thread = ThreadID(7)

  @Test("A record that is made up has the fields that were set, where the payload looks for them")
  func fields() {
    var record = TraceRecord(.guestFault, at: Nanoseconds(5), cpu: cpu, tid: thread)
    #expect(record.guestFault == GuestFault(ipa: IPA(0), esr: ESR(0), far: GuestVA(0), pc: GuestVA(0)))
    record[RecordLayout.GuestFault.ipa] = 0x8000_0000
    record[RecordLayout.GuestFault.pc] = .max
    #expect(
      record.guestFault
        == GuestFault(ipa: IPA(0x8000_0000), esr: ESR(0), far: GuestVA(0), pc: GuestVA(.max)))
  }

  @Test("Fields that share a word leave each other alone")
  func sharedWord() {
    typealias Field = RecordLayout.SetMemoryRegion
    var record = TraceRecord(.setMemoryRegion, at: Nanoseconds(5), cpu: cpu, tid: thread)
    record[Field.flags] = 3
    record[Field.slot] = 0x1_0002
    record[Field.flags] = 0xff_0000_0002
    #expect(record.memslotRequest.flags == .readOnly && record.memslotRequest.slot == 0x1_0002)
  }

  @Test("A run in memory finds its markers by their place in the list, and has no data")
  func markers() {
    var records = (0..<3).map { TraceRecord(.marker, at: Nanoseconds($0), cpu: cpu, tid: thread) }
    records[0][RecordLayout.Marker.index] = 1
    records[1][RecordLayout.Marker.index] = 2
    records.append(TraceRecord(.entry, at: Nanoseconds(3), cpu: cpu, tid: thread))
    let markers = [TraceMarker.lab([]), .quiet]
    records.withUnsafeBufferPointer { records in
      markers.withUnsafeBufferPointer { markers in
        EventRun.with(records, markers: markers, damageCount: 2) { run in
          #expect((0..<4).map(run.marker) == [.quiet, nil, .lab([]), nil])
          #expect(run.payload(0).isEmpty && run.count == 4 && run.damageCount == 2)
        }
      }
    }
  }
}
