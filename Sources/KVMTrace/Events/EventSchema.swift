/// Which event of a trace is which `EventKind`, and which of its fields a record holds, where `RecordLayout` has them.
///
/// Events and fields are known by name only: numbers and offsets differ from kernel to kernel and from boot to
/// boot. An event whose required fields are not all there is left as `.other`.
struct EventSchema {
  var kind: EventKind
  /// The event's system, nil for probes, whose group the person who set them chose.
  var system: String?
  /// The names under which the event is known.
  var names: [String]
  var fields: [RecordField]

  private init(_ kind: EventKind, _ system: String?, _ names: [String], _ fields: [RecordField]) {
    self.kind = kind
    self.system = system
    self.names = names
    self.fields = fields
  }

  /// The names of a probe on a stage-2 function: the short one, and the function's own in both paths.
  private static func probe(_ name: String, suffix: String = "") -> [String] {
    [name + suffix, "pkvm_pgtable_stage2_\(name)\(suffix)", "kvm_pgtable_stage2_\(name)\(suffix)"]
  }

  private typealias Layout = RecordLayout

  static let all: [EventSchema] = [
    EventSchema(.entry, "kvm", ["kvm_entry"], [Layout.Entry.pc]),
    EventSchema(
      .exit, "kvm", ["kvm_exit"], [Layout.Exit.reason, Layout.Exit.exceptionClass, Layout.Exit.pc]),
    EventSchema(
      .guestFault, "kvm", ["kvm_guest_fault"],
      [Layout.GuestFault.ipa, Layout.GuestFault.esr, Layout.GuestFault.far, Layout.GuestFault.pc]),
    EventSchema(.accessFault, "kvm", ["kvm_access_fault"], [Layout.AccessFault.ipa]),
    EventSchema(
      .mmioNISV, "kvm", ["kvm_mmio_nisv"],
      [Layout.MMIONISV.ipa, Layout.MMIONISV.esr, Layout.MMIONISV.far, Layout.MMIONISV.pc]),
    EventSchema(
      .setWayFlush, "kvm", ["kvm_set_way_flush"], [Layout.SetWayFlush.pc, Layout.SetWayFlush.cache]),
    EventSchema(
      .toggleCache, "kvm", ["kvm_toggle_cache"],
      [Layout.ToggleCache.pc, Layout.ToggleCache.was, Layout.ToggleCache.now]),
    EventSchema(
      .userspaceExit, "kvm", ["kvm_userspace_exit"],
      [Layout.UserspaceExit.reason, Layout.UserspaceExit.errno]),
    EventSchema(
      .mmio, "kvm", ["kvm_mmio"],
      [Layout.MMIO.type, Layout.MMIO.length, Layout.MMIO.address, Layout.MMIO.value]),
    EventSchema(
      .unmapHVARange, "kvm", ["kvm_unmap_hva_range"], [Layout.HVARange.start, Layout.HVARange.end]),
    EventSchema(.ageHVA, "kvm", ["kvm_age_hva"], [Layout.HVARange.start, Layout.HVARange.end]),
    EventSchema(.testAgeHVA, "kvm", ["kvm_test_age_hva"], [Layout.HVA.hva]),
    EventSchema(.setSPTEHVA, "kvm", ["kvm_set_spte_hva"], [Layout.HVA.hva]),
    EventSchema(
      .dirtyRingPush, "kvm", ["kvm_dirty_ring_push"],
      [
        Layout.DirtyRingPush.index, Layout.DirtyRingPush.dirtyIndex, Layout.DirtyRingPush.resetIndex,
        Layout.DirtyRingPush.slot, Layout.DirtyRingPush.offset,
      ]),
    EventSchema(
      .nestedERET, "kvm", ["kvm_nested_eret"], [Layout.NestedERET.mode, Layout.NestedERET.hcr]),
    EventSchema(
      .nestedException, "kvm", ["kvm_inject_nested_exception"],
      [Layout.NestedException.mode, Layout.NestedException.hcr]),
    EventSchema(
      .hypercall, "kvm", ["kvm_hvc_arm64"],
      [Layout.Hypercall.pc, Layout.Hypercall.r0, Layout.Hypercall.immediate]),
    EventSchema(
      .contentionBegin, "lock", ["contention_begin"],
      [Layout.ContentionBegin.lock, Layout.ContentionBegin.flags]),
    EventSchema(
      .contentionEnd, "lock", ["contention_end"], [Layout.ContentionEnd.lock, Layout.ContentionEnd.result]),
    EventSchema(
      .commitMemoryRegion, nil, ["commit", "kvm_arch_commit_memory_region"],
      [
        Layout.CommitMemoryRegion.kvm, Layout.CommitMemoryRegion.gfn, Layout.CommitMemoryRegion.pages,
        Layout.CommitMemoryRegion.hva, Layout.CommitMemoryRegion.oldGFN, Layout.CommitMemoryRegion.oldPages,
        Layout.CommitMemoryRegion.flags, Layout.CommitMemoryRegion.id, Layout.CommitMemoryRegion.change,
      ]),
    EventSchema(
      .setMemoryRegion, nil, ["slot", "kvm_set_memory_region"],
      [
        Layout.SetMemoryRegion.kvm, Layout.SetMemoryRegion.address, Layout.SetMemoryRegion.bytes,
        Layout.SetMemoryRegion.hva, Layout.SetMemoryRegion.guestMemfd, Layout.SetMemoryRegion.flags,
        Layout.SetMemoryRegion.slot,
      ]),
    EventSchema(
      .setMemoryRegionReturn, nil, ["slot_ret", "kvm_set_memory_region_ret"], [Layout.Return.value]),
    EventSchema(.initVM, nil, ["init", "kvm_arch_init_vm"], [Layout.InitVM.kvm, Layout.InitVM.type]),
    EventSchema(.destroyVM, nil, ["destroy", "kvm_arch_destroy_vm"], [Layout.DestroyVM.kvm]),
    EventSchema(.marker, "ftrace", ["print"], [Layout.Marker.ip]),
    EventSchema(
      .probeMap, nil, probe("map"),
      [
        Layout.Stage2Call.pageTable, Layout.Stage2Call.address, Layout.Stage2Call.size,
        Layout.Stage2Call.physical, Layout.Stage2Call.mapProt,
      ]),
    EventSchema(.probeMapReturn, nil, probe("map", suffix: "_ret"), [Layout.Return.value]),
    EventSchema(
      .probeUnmap, nil, probe("unmap"),
      [Layout.Stage2Call.pageTable, Layout.Stage2Call.address, Layout.Stage2Call.size]),
    EventSchema(.probeUnmapReturn, nil, probe("unmap", suffix: "_ret"), [Layout.Return.value]),
    EventSchema(
      .probeWrprotect, nil, probe("wrprotect"),
      [Layout.Stage2Call.pageTable, Layout.Stage2Call.address, Layout.Stage2Call.size]),
    EventSchema(.probeWrprotectReturn, nil, probe("wrprotect", suffix: "_ret"), [Layout.Return.value]),
    EventSchema(
      .probeTestClearYoung, nil, probe("test_clear_young"),
      [
        Layout.Stage2Call.pageTable, Layout.Stage2Call.address, Layout.Stage2Call.size,
        Layout.Stage2Call.markOld,
      ]),
    EventSchema(
      .probeTestClearYoungReturn, nil, probe("test_clear_young", suffix: "_ret"), [Layout.Return.value]),
    EventSchema(
      .probeRelaxPerms, nil, probe("relax_perms"),
      [Layout.Stage2Call.pageTable, Layout.Stage2Call.address, Layout.Stage2Call.relaxProt]),
    EventSchema(.probeRelaxPermsReturn, nil, probe("relax_perms", suffix: "_ret"), [Layout.Return.value]),
    EventSchema(
      .probeMkyoung, nil, probe("mkyoung"), [Layout.Stage2Call.pageTable, Layout.Stage2Call.address]),
    EventSchema(.probeAbortReturn, nil, ["abort_ret", "kvm_handle_guest_abort_ret"], [Layout.Return.value]),
    EventSchema(
      .probeAgeGFN, nil, ["age_gfn", "kvm_age_gfn"],
      [Layout.GFNRange.kvm, Layout.GFNRange.start, Layout.GFNRange.end]),
    EventSchema(
      .probeUnmapGFN, nil, ["unmap_gfn", "kvm_unmap_gfn_range"],
      [Layout.GFNRange.kvm, Layout.GFNRange.start, Layout.GFNRange.end]),
  ]

  /// The schemas that have a name, in order: a trace has hundreds of kinds of event, of which few have a meaning here.
  private static let byName: [String: [EventSchema]] = {
    var schemas: [String: [EventSchema]] = [:]
    for schema in all {
      for name in schema.names { schemas[name, default: []].append(schema) }
    }
    return schemas
  }()

  /// The first name of a kind of event, nil for one that has none.
  static func name(of kind: EventKind) -> String? { all.first { $0.kind == kind }?.names.first }

  /// The kind of event that has a name, nil where that has no meaning here.
  static func kind(named name: String) -> EventKind? { byName[name]?.first?.kind }

  /// The kind of the events that are called `system:name`, whatever fields they have; nil where that has no meaning here.
  static func kind(named name: String, system: String) -> EventKind? {
    byName[name]?.first { $0.system == system }?.kind
  }

  /// The schema of the event `system:name` with the fields `fieldNames`, nil where it has no meaning here.
  static func schema(system: String, name: String, fieldNames: @autoclosure () -> Set<String>) -> EventSchema?
  {
    guard let named = byName[name] else { return nil }
    let fieldNames = fieldNames()
    return named.first { schema in
      (schema.system == nil || schema.system == system)
        && schema.fields.allSatisfy { $0.isOptional || fieldNames.contains($0.name.description) }
    }
  }
}
