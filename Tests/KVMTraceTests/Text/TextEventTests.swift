import Testing

@testable import KVMTrace

/// What the text of an event becomes.
@Suite("Texts of events")
struct TextEventTests {
  private static let head = "             vmm-139     (    138) [000] ...1.    48.525061: "

  private func read(_ texts: String...) throws -> TextReading {
    try TextReading(texts.map { Self.head + $0 + "\n" }.joined(), printing: true)
  }

  @Test(
    "known events have the fields that kernels print",
    arguments: [
      ("kvm_access_fault: IPA: 429f5000", ["ipa": 0x429f_5000]),
      (
        "kvm_age_hva: mmu notifier age hva: 0x00ffff96227000 -- 0x00ffff96228000",
        ["start": 0xffff_9622_7000, "end": 0xffff_9622_8000]
      ),
      ("kvm_test_age_hva: mmu notifier test age hva: 0x00ffff96227000", ["hva": 0xffff_9622_7000]),
      ("kvm_set_spte_hva: mmu notifier set pte hva: 0x00ffff96227000", ["hva": 0xffff_9622_7000]),
      (
        "kvm_exit: TRAP: HSR_EC: 0x0024 (DABT_LOW), PC: 0x0000000000000fa0",
        ["ret": 2, "esr_ec": 0x24, "vcpu_pc": 0xfa0]
      ),
      (
        "kvm_exit: HYP_GONE: HSR_EC: 0x0000 (UNKNOWN), PC: 0x0",
        ["ret": 0xbadca11, "esr_ec": 0, "vcpu_pc": 0]
      ),
      ("kvm_exit: 0x7: HSR_EC: 0x0000 (0x7), PC: 0x0", ["ret": 7]),
      ("kvm_exit: IRQ: HSR_EC: 0x0000, PC: 0x10", ["ret": 0, "vcpu_pc": 0x10]),
      (
        "kvm_guest_fault: ipa 0x4005e000, hsr 0x93c18007, hxfar 0x4005e040, pc 0x00000000000fa0",
        ["ipa": 0x4005_e000, "hsr": 0x93c1_8007, "hxfar": 0x4005_e040, "vcpu_pc": 0xfa0]
      ),
      (
        "kvm_guest_fault: ipa 0, hsr 0x82000004, hxfar 00000000, pc 0000000000000000",
        ["ipa": 0, "hsr": 0x8200_0004]
      ),
      ("kvm_guest_fault: ipa 0x1000, hsr 0x82000004, hxfar 0xffffffffffffffff, pc 0x0", ["hxfar": .max]),
      (
        "kvm_hvc_arm64: HVC at 0x0000000000001000 (r0: 0x0000000084000000, imm: 0x0)",
        ["vcpu_pc": 0x1000, "r0": 0x8400_0000, "imm": 0]
      ),
      (
        "kvm_mmio: mmio unsatisfied-read len 4 gpa 0x800ffe8 val 0x0",
        ["type": 0, "len": 4, "gpa": 0x800_ffe8, "val": 0]
      ),
      ("kvm_mmio: mmio read len 8 gpa 0x9000000 val 0xffffffffffffffff", ["type": 1, "len": 8, "val": .max]),
      ("kvm_mmio: mmio write len 1 gpa 0x9000000 val 0x41", ["type": 2, "len": 1, "val": 0x41]),
      (
        "kvm_mmio_nisv: ipa 0x00000009000000, esr 0x00000093000047, far 0x00000000000010, pc 0x00000000000020",
        ["ipa": 0x900_0000, "esr": 0x9300_0047, "far": 0x10, "vcpu_pc": 0x20]
      ),
      ("kvm_set_way_flush: S/W flush at 0x0000000000000010 (cache on)", ["vcpu_pc": 0x10, "cache": 1]),
      (
        "kvm_toggle_cache: VM op at 0x0000000000000010 (cache was off, now on)",
        ["vcpu_pc": 0x10, "was": 0, "now": 1]
      ),
      (
        "kvm_unmap_hva_range: mmu notifier unmap range: 0x00ffffaf25e000 -- 0x00ffffaf25f000",
        ["start": 0xffff_af25_e000, "end": 0xffff_af25_f000]
      ),
      ("kvm_userspace_exit: reason KVM_EXIT_MMIO (6)", ["reason": 6, "errno": 0]),
      ("kvm_userspace_exit: reason restart (4)", ["reason": 10, "errno": UInt64(bitPattern: -4)]),
      ("kvm_userspace_exit: reason error (14)", ["errno": UInt64(bitPattern: -14)]),
      ("kvm_userspace_exit: reason KVM_EXIT_INTR (10)", ["reason": 10, "errno": UInt64(bitPattern: -4)]),
      ("kvm_userspace_exit: reason 0x29 (41)", ["reason": 41, "errno": 0]),
      (
        "kvm_dirty_ring_push: ring 1: dirty 0x2a reset 0x10 slot 3 offset 0x1f4 (used 26)",
        ["index": 1, "dirty_index": 0x2a, "reset_index": 0x10, "slot": 3, "offset": 0x1f4]
      ),
      (
        "kvm_nested_eret: elr_el2: 0xffff800080010000 spsr_el2: 0x600003c5 (M: EL1h) hcr_el2: 80000001",
        ["elr_el2": 0xffff_8000_8001_0000, "spsr_el2": 0x6000_03c5, "target_mode": 5, "hcr_el2": 0x8000_0001]
      ),
      (
        "kvm_inject_nested_exception: SYNC: esr_el2 0x96000046 elr_el2: 0x10 spsr_el2: 0x600003c5 (M: 32-bit USR) hcr_el2: 2",
        ["type": 0, "esr_el2": 0x9600_0046, "pc": 0x10, "source_mode": 0x10, "hcr_el2": 2]
      ),
      (
        "contention_begin: 0xffff0000ff793bc0 (flags=SPIN|READ)",
        ["lock_addr": 0xffff_0000_ff79_3bc0, "flags": 3]
      ),
      (
        "contention_begin: ffff0000ff793bc0 (flags=MUTEX)", ["lock_addr": 0xffff_0000_ff79_3bc0, "flags": 32]
      ),
      ("contention_begin: 0000000012345678 (flags=)", ["lock_addr": 0x1234_5678, "flags": 0]),
      ("contention_begin: 0000000012345678 (flags=WRITE|0x40)", ["flags": 0x44]),
      ("contention_end: 0xffff0000ff793bc0 (ret=-11)", ["ret": UInt64(bitPattern: -11)]),
      (
        "kvm_timer_save_state:    CTL: 0x000005 CVAL:              0x1f arch_timer_ctx_index: 1",
        ["ctl": 5, "cval": 0x1f, "timer_idx": 1]
      ),
      ("kvm_get_timer_map: VCPU: 0, dv: 1, dp: -1, ev: -1, ep: 0", ["vcpu_id": 0, "direct_ptimer": .max]),
      (
        "kvm_irq_line: Inject VGIC SPI interrupt (1), vcpu->idx: 0, num: 33, level: 1",
        ["type": 1, "irq_num": 33, "level": 1]
      ),
      ("kvm_vcpu_wakeup: wait time 1234 ns, polling valid", ["ns": 1234, "waited": 1, "valid": 1]),
      ("kvm_wfx_arm64: guest executed wfi at: 0x0000000000000010", ["vcpu_pc": 0x10, "is_wfe": 0]),
    ] as [(String, [String: UInt64])])
  func known(text: String, fields: [String: UInt64]) throws {
    let reading = try read(text)
    #expect(reading.damage.isEmpty)
    let event = try #require(reading.events.first)
    for (name, value) in fields { #expect(event[name] == value, "\(name)") }
    #expect(!event.values.isEmpty && event.name.hasSuffix(text.prefix { $0 != ":" }))
  }

  @Test("every event with a pattern is known, and every field of a pattern is one of its event's")
  func patterns() {
    for known in CanonicalFormats.known {
      let patterns = LinePatterns.patterns(of: known.name)
      #expect(!patterns.isEmpty, "\(known.name)")
      var formats = CanonicalFormats()
      let position = formats.position(ofKnown: known.name, system: known.system)!
      let event = TextEvent(formats.events[position], patterns: patterns, isKnown: true, arena: TextArena())
      #expect(event.patternCount == patterns.count)
    }
  }

  @Test("what the x86 plugin of libtraceevent leaves of arm64's events is read")
  func plugin() throws {
    let reading = try read(
      #"kvm_entry: CAN'T FIND FIELD "vcpu_id"<CANT FIND FIELD rip>PC: 0x0000000000001204"#,
      "kvm_exit: <CANT FIND FIELD exit_reason>TRAP: HSR_EC: 0x0020 (IABT_LOW), PC: 0x0000000000001010")
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map { $0["vcpu_pc"] } == [0x1204, 0x1010])
    #expect(reading.events.map(\.kind) == [.entry, .exit])
    #expect(reading.events[1]["esr_ec"] == 0x20)
  }

  @Test("fields by name are read where the text does not follow the print format")
  func byName() throws {
    let reading = try read(
      "kvm_access_fault:       ipa=429f5000",
      "kvm_exit:               ret=2 esr_ec=0x0024 vcpu_pc=0x0000000000000fa0",
      "kvm_toggle_cache: [FAILED TO PARSE] vcpu_pc=0x10 was=1 now=0",
      "kvm_timer_emulate: timer_idx=0x0 (0) should_fire=(1)")
    #expect(reading.damage.isEmpty)
    #expect(reading.events[0]["ipa"] == 0x429f_5000)
    #expect(reading.events[1]["esr_ec"] == 0x24)
    #expect(reading.events[2]["was"] == 1)
    #expect(reading.events[3]["should_fire"] == 1)
  }

  @Test("probes have the fields of their first line")
  func probes() throws {
    let reading = try read(
      "map: (pkvm_pgtable_stage2_map+0x4/0x218) pgt=0xffff0000c0d2bf00 addr=1074126848 size=4096 phys=1094119424 prot=8 mc=0xffff0000cb651ef8 flags=8",
      "map_ret: (user_mem_abort+0x4ec/0x9f0 <- pkvm_pgtable_stage2_map+0x0/0x218) ret=-11",
      "map: (ffffbc8d5dea4ef4) pgt=0x1 addr=2 size=3 phys=4 prot=5 mc=0x6 flags=7 more=8")
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.name) == ["probes:map", "probes:map_ret", "probes:map"])
    #expect(reading.events.map(\.kind) == [.probeMap, .probeMapReturn, .probeMap])
    #expect(reading.events[0].values["addr"] == .signed(1_074_126_848))
    #expect(reading.events[0].values["pgt"] == .unsigned(0xffff_0000_c0d2_bf00))
    #expect(reading.events[1].record.probedReturn == -11)
    #expect(reading.events[2]["flags"] == 7 && reading.events[2].values["more"] == nil)
    #expect(reading.events[1].text == "ret=-11")
  }

  @Test("a probe without one of its fields is left out")
  func shortProbe() throws {
    let reading = try read(
      "unmap: (x+0x4/0x218) pgt=0x1 addr=2 size=3", "unmap: (x+0x4/0x218) pgt=0x1 addr=2",
      "kvm_entry: PC: 0x1")
    #expect(reading.events.count == 2)
    #expect(reading.damage.map(\.what) == ["the text of an event unmap cannot be read; it is left out"])
    #expect(reading.gaps == [.init(index: 1, cpu: 0, lost: nil)])
  }

  @Test("one damaged line does not say what fields a probe has", arguments: 0..<3)
  func damagedProbe(damaged: Int) throws {
    var texts = (0..<3).map { "unmap: (x+0x4/0x218) pgt=0x1 addr=\($0) size=4096" }
    texts[damaged] = "unmap: (x+0x4/0x218) pgt=0x1 ad"
    let reading = try TextReading(texts.map { Self.head + $0 + "\n" }.joined())
    #expect(reading.events.map(\.kind) == [.probeUnmap, .probeUnmap])
    #expect(reading.events.map { $0["size"] } == [4096, 4096])
    #expect(reading.damage.count == 1)
  }

  @Test("other events have what their text names, or are their text")
  func others() throws {
    let reading = try read(
      "sched_switch: prev_comm=bash prev_pid=15338 prev_prio=120 prev_state=Z ==> next_comm=vmm next_pid=12716 next_prio=120",
      "some_event: nothing by name", "kvm_unknown: a=1", "x/y z")
    #expect(reading.events.map(\.name) == ["probes:sched_switch", "probes:some_event", "kvm:kvm_unknown"])
    #expect(reading.events[0].values["next_comm"] == .text("vmm"))
    #expect(reading.events[0].values["next_pid"] == .signed(12716))
    #expect(reading.events[1].text == "nothing by name")
    #expect(reading.damage.count == 1)
  }

  @Test("events of another architecture are no arm64 events")
  func foreign() throws {
    let reading = try read(
      "kvm_exit: vcpu 0 reason EPT_VIOLATION rip 0xfff0 info1 0x0 info2 0x0", "kvm_entry: vcpu 0, rip 0xfff0")
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.kind) == [.other, .other])
    #expect(reading.events.map(\.name) == ["kvm:kvm_exit", "kvm:kvm_entry"])
    #expect(reading.events[1].text == "vcpu 0, rip 0xfff0")
  }

  @Test("markers are found, however a tool names them")
  func markers() throws {
    let reading = try read(
      "tracing_mark_write: pkvm-replay:quiet", "print: tracing_mark_write: pkvm-replay:memory point=a: b",
      "print: 0xffffbcd79f0b86c4: pkvm-replay:lab seed=1",
      "print: ip=0xffffbcd79f0b86c4 buf=pkvm-replay:quiet x=1")
    #expect(reading.damage.isEmpty)
    #expect(reading.events.allSatisfy { $0.kind == .marker && $0.name == "ftrace:print" })
    #expect(
      reading.events.map { $0.values["buf"] } == [
        .text("pkvm-replay:quiet"), .text("pkvm-replay:memory point=a: b"), .text("pkvm-replay:lab seed=1"),
        .text("pkvm-replay:quiet x=1"),
      ])
    #expect(reading.events[2]["ip"] == 0xffff_bcd7_9f0b_86c4)
  }

  @Test("tracers' lines are events, and the lines of a stack none")
  func tracers() throws {
    let reading = try read(
      "kvm_vcpu_load <-kvm_arch_vcpu_ioctl_run", "<stack trace>\n => try_to_wake_up\n => swake_up_one",
      "kvm_entry: PC: 0x1")
    #expect(reading.events.map(\.name) == ["ftrace:function", "ftrace:kernel_stack", "kvm:kvm_entry"])
    #expect(reading.events[0].text == "kvm_vcpu_load <-kvm_arch_vcpu_ioctl_run")
    #expect(reading.damage.isEmpty)
  }

  @Test("perf's system is the event's, and its call chains are none")
  func perf() throws {
    let reading = try TextReading(
      """
      vmm   139 [000]    48.000001: kvm:kvm_entry: PC: 0x1
              ffffa2732a88c154 kvm_arch_vcpu_ioctl_run+0x10 ([kernel.kallsyms])
              ffffa2732a88c000 [unknown] ([kernel.kallsyms])

      vmm   139 [000]    48.000002: slots:commit: (ffffa2732a88c154) kvm=0x1 change=0 gfn=0 npages=48 hva=5 id=0 flags=0 ogfn=0 onpages=0
      vmm   139 [000]    48.000003: PERF_RECORD_LOST lost 17
      vmm   139 [000]    48.000004: PERF_RECORD_COMM: vmm:139/139
      vmm   139 [000]    48.000005: kvm:kvm_entry: PC: 0x2

      """)
    #expect(reading.damage.isEmpty)
    #expect(reading.events.map(\.name) == ["kvm:kvm_entry", "slots:commit", "kvm:kvm_entry"])
    #expect(reading.gaps == [.init(index: 2, cpu: 0, lost: 17)])
  }
}
