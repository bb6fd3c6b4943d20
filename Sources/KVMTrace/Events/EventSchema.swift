/// Which event of a trace is which `EventKind`, and which of its fields go to which word of a record.
///
/// Events and fields are known by name only: numbers and offsets differ from kernel to kernel and from boot to
/// boot. An event whose required fields are not all there is left as `.other`.
struct EventSchema {
  /// A field and the place in the record where it goes.
  struct Field {
    var name: String
    var word: Int
    /// Where in the word, for fields that share one.
    var bit: Int = 0
    /// How many bits of a shared word the field may fill, 64 where it has the word for itself.
    var bits: Int = 64
    /// Whether the event may come without it.
    var optional = false
  }

  var kind: EventKind
  /// The event's system, nil for probes, whose group the person who set them chose.
  var system: String?
  /// The names under which the event is known.
  var names: [String]
  var fields: [Field]

  private init(_ kind: EventKind, _ system: String?, _ names: [String], _ fields: [String]) {
    self.init(kind, system, names, fields.enumerated().map { Field(name: $1, word: $0) })
  }

  private init(_ kind: EventKind, _ system: String?, _ names: [String], _ fields: [Field]) {
    self.kind = kind
    self.system = system
    self.names = names
    self.fields = fields
  }

  /// The names of a probe on a stage-2 function: the short one, and the function's own in both paths.
  private static func probe(_ name: String, suffix: String = "") -> [String] {
    [name + suffix, "pkvm_pgtable_stage2_\(name)\(suffix)", "kvm_pgtable_stage2_\(name)\(suffix)"]
  }

  static let all: [EventSchema] = [
    EventSchema(.entry, "kvm", ["kvm_entry"], ["vcpu_pc"]),
    EventSchema(.exit, "kvm", ["kvm_exit"], ["ret", "esr_ec", "vcpu_pc"]),
    EventSchema(.guestFault, "kvm", ["kvm_guest_fault"], ["ipa", "hsr", "hxfar", "vcpu_pc"]),
    EventSchema(.accessFault, "kvm", ["kvm_access_fault"], ["ipa"]),
    EventSchema(.mmioNISV, "kvm", ["kvm_mmio_nisv"], ["ipa", "esr", "far", "vcpu_pc"]),
    EventSchema(.setWayFlush, "kvm", ["kvm_set_way_flush"], ["vcpu_pc", "cache"]),
    EventSchema(.toggleCache, "kvm", ["kvm_toggle_cache"], ["vcpu_pc", "was", "now"]),
    EventSchema(.userspaceExit, "kvm", ["kvm_userspace_exit"], ["reason", "errno"]),
    EventSchema(.mmio, "kvm", ["kvm_mmio"], ["type", "len", "gpa", "val"]),
    EventSchema(.unmapHVARange, "kvm", ["kvm_unmap_hva_range"], ["start", "end"]),
    EventSchema(.ageHVA, "kvm", ["kvm_age_hva"], ["start", "end"]),
    EventSchema(.testAgeHVA, "kvm", ["kvm_test_age_hva"], ["hva"]),
    EventSchema(.setSPTEHVA, "kvm", ["kvm_set_spte_hva"], ["hva"]),
    EventSchema(
      .dirtyRingPush, "kvm", ["kvm_dirty_ring_push"],
      ["index", "dirty_index", "reset_index", "slot", "offset"]),
    EventSchema(.hypercall, "kvm", ["kvm_hvc_arm64"], ["vcpu_pc", "r0", "imm"]),
    EventSchema(.contentionBegin, "lock", ["contention_begin"], ["lock_addr", "flags"]),
    EventSchema(.contentionEnd, "lock", ["contention_end"], ["lock_addr", "ret"]),

    EventSchema(
      .commitMemoryRegion, nil, ["commit", "kvm_arch_commit_memory_region"],
      [
        Field(name: "kvm", word: 0), Field(name: "gfn", word: 1), Field(name: "npages", word: 2),
        Field(name: "hva", word: 3), Field(name: "ogfn", word: 4), Field(name: "onpages", word: 5),
        Field(name: "flags", word: 6, bit: 0, bits: 32), Field(name: "id", word: 6, bit: 32, bits: 16),
        Field(name: "change", word: 6, bit: 48, bits: 8),
      ]),
    EventSchema(
      .setMemoryRegion, nil, ["slot", "kvm_set_memory_region"],
      [
        Field(name: "kvm", word: 0), Field(name: "gpa", word: 1), Field(name: "size", word: 2),
        Field(name: "hva", word: 3), Field(name: "gmem", word: 4, optional: true),
        Field(name: "flags", word: 6, bit: 0, bits: 32), Field(name: "slot", word: 6, bit: 32, bits: 32),
      ]),
    EventSchema(.setMemoryRegionReturn, nil, ["slot_ret", "kvm_set_memory_region_ret"], ["ret"]),
    EventSchema(.initVM, nil, ["init", "kvm_arch_init_vm"], ["kvm", "type"]),
    EventSchema(.destroyVM, nil, ["destroy", "kvm_arch_destroy_vm"], ["kvm"]),
    EventSchema(.marker, "ftrace", ["print"], ["ip"]),

    EventSchema(.probeMap, nil, probe("map"), ["pgt", "addr", "size", "phys", "prot"]),
    EventSchema(.probeMapReturn, nil, probe("map", suffix: "_ret"), ["ret"]),
    EventSchema(.probeUnmap, nil, probe("unmap"), ["pgt", "addr", "size"]),
    EventSchema(.probeUnmapReturn, nil, probe("unmap", suffix: "_ret"), ["ret"]),
    EventSchema(.probeWrprotect, nil, probe("wrprotect"), ["pgt", "addr", "size"]),
    EventSchema(.probeWrprotectReturn, nil, probe("wrprotect", suffix: "_ret"), ["ret"]),
    EventSchema(.probeTestClearYoung, nil, probe("test_clear_young"), ["pgt", "addr", "size", "mkold"]),
    EventSchema(.probeTestClearYoungReturn, nil, probe("test_clear_young", suffix: "_ret"), ["ret"]),
    EventSchema(.probeRelaxPerms, nil, probe("relax_perms"), ["pgt", "addr", "prot"]),
    EventSchema(.probeRelaxPermsReturn, nil, probe("relax_perms", suffix: "_ret"), ["ret"]),
    EventSchema(.probeMkyoung, nil, probe("mkyoung"), ["pgt", "addr"]),
    EventSchema(.probeAbortReturn, nil, ["abort_ret", "kvm_handle_guest_abort_ret"], ["ret"]),
    EventSchema(.probeAgeGFN, nil, ["age_gfn", "kvm_age_gfn"], ["kvm", "start", "end"]),
    EventSchema(.probeUnmapGFN, nil, ["unmap_gfn", "kvm_unmap_gfn_range"], ["kvm", "start", "end"]),
  ]

  /// The schema of the event `system:name` with the fields `fieldNames`, nil where it has no meaning here.
  static func schema(system: String, name: String, fieldNames: Set<String>) -> EventSchema? {
    all.first { schema in
      (schema.system == nil || schema.system == system) && schema.names.contains(name)
        && schema.fields.allSatisfy { $0.optional || fieldNames.contains($0.name) }
    }
  }
}
