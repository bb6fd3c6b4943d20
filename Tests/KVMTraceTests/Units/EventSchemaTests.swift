import Testing

@testable import KVMTrace

@Suite("EventSchema")
struct EventSchemaTests {
  @Test("every kind but the nameless ones has one schema")
  func complete() {
    let kinds = EventSchema.all.map(\.kind)
    #expect(Set(kinds).count == kinds.count)
    #expect(Set(kinds).union([.other, .lost]) == Set(EventKind.allCases))
  }

  @Test("no two fields share bits, and all lie in the record", arguments: EventSchema.all.indices)
  func words(index: Int) {
    let schema = EventSchema.all[index]
    var used = [UInt64](repeating: 0, count: TraceRecord.wordCount)
    for field in schema.fields {
      #expect(field.bit + field.bits <= 64 && used.indices.contains(field.word))
      let mask = field.mask << field.bit
      #expect(used[field.word] & mask == 0, "\(schema.names[0]).\(field.name)")
      used[field.word] |= mask
    }
  }

  @Test("events are known by system and name, probes by name alone")
  func lookup() {
    let fields: Set = ["vcpu_pc", "common_type"]
    #expect(EventSchema.schema(system: "kvm", name: "kvm_entry", fieldNames: fields)?.kind == .entry)
    #expect(EventSchema.schema(system: "xen", name: "kvm_entry", fieldNames: fields) == nil)
    #expect(EventSchema.schema(system: "kvm", name: "kvm_entry", fieldNames: ["pc"]) == nil)
    for name in ["unmap", "pkvm_pgtable_stage2_unmap", "kvm_pgtable_stage2_unmap"] {
      for system in ["truth", "kprobes"] {
        let schema = EventSchema.schema(system: system, name: name, fieldNames: ["pgt", "addr", "size"])
        #expect(schema?.kind == .probeUnmap)
      }
    }
    let slot: Set = ["kvm", "gpa", "size", "hva", "flags", "slot"]
    #expect(EventSchema.schema(system: "p", name: "slot", fieldNames: slot)?.kind == .setMemoryRegion)
  }

  @Test("a replay without probes wants none of the kernel's own operations")
  func selection() {
    let selection = EventSelection.replay(probes: false)
    for kind in EventKind.allCases where kind != .other {
      #expect(selection.includes(kind) == !kind.isOperationProbe, "\(kind)")
      #expect(EventSelection.all.includes(kind))
    }
    #expect(EventKind.probeMap.isOperationProbe && EventKind.probeAgeGFN.isOperationProbe)
    #expect(!EventKind.commitMemoryRegion.isOperationProbe && !EventKind.guestFault.isOperationProbe)
    #expect(!selection.includes(.other) && EventSelection.all.includes(.other))
  }
}
