/// The layout of the database, as the page Database of pkvm-replay documents it. A table keeps the comments of its definition, so that
/// `.schema` of `sqlite3` tells them.
enum DatabaseSchema {
  /// "PKVR": by this a file is known as one of these databases.
  static let applicationID: UInt32 = 0x504b_5652

  /// The version of the layout. Columns and tables are added under the same one.
  static let version = 1

  /// The tables, then what looks at them.
  static let tables = """
    CREATE TABLE recordings (
      recording INTEGER PRIMARY KEY,  -- the input's position, from 0
      path TEXT NOT NULL,
      format TEXT NOT NULL,           -- 'trace.dat v7', ...
      kernel TEXT,                    -- the host's release
      machine TEXT,
      clock TEXT,                     -- the kernel's name for it
      clock_unit TEXT NOT NULL,       -- 'ns', or 'ticks': then every _ns is in those
      page_size_bytes INTEGER NOT NULL,
      page_size_basis TEXT NOT NULL,
      first_ns INTEGER,               -- of all events
      last_ns INTEGER,
      from_ns INTEGER,                -- of the part that was replayed, NULL where that begins with the trace
      to_ns INTEGER,                  -- NULL where it ends with the trace
      events INTEGER NOT NULL,        -- of the whole trace
      part_events INTEGER,            -- of the part that was replayed, NULL where that is the whole trace
      lost_events INTEGER,            -- NULL where not all places tell how many, or not all places are told
      loss_count INTEGER NOT NULL,    -- places; the first of them are in losses
      losses_unknown INTEGER NOT NULL, -- 1 where the recording would not tell of losses
      unattributed_faults INTEGER,    -- NULL where kvm_guest_fault was not recorded
      divergences_unexplained INTEGER NOT NULL,
      divergences_explained INTEGER NOT NULL,
      divergences_unknown INTEGER NOT NULL,
      divergences_unchecked_why TEXT, -- why a 0 of these three is unknown: no fault was recorded, ...; NULL where it is none
      tool_version TEXT NOT NULL,
      tool_commit TEXT,
      options TEXT NOT NULL           -- the words of the command line, as a JSON array
    ) STRICT;
    CREATE TABLE settings (
      recording INTEGER NOT NULL REFERENCES recordings,
      key TEXT NOT NULL,              -- what a marker says of how it was recorded: an emulator, ...
      value TEXT NOT NULL,
      PRIMARY KEY (recording, key)
    ) STRICT;
    CREATE TABLE profile (
      recording INTEGER NOT NULL REFERENCES recordings,
      field TEXT NOT NULL,            -- of what was modelled: pkvm-replay profiles NAME
      value ANY,
      basis TEXT,
      PRIMARY KEY (recording, field)
    ) STRICT;
    CREATE TABLE vms (
      recording INTEGER NOT NULL REFERENCES recordings,
      vm INTEGER NOT NULL,            -- its number in the report
      pid INTEGER,
      protected INTEGER NOT NULL,
      ended_ns INTEGER,
      end_basis TEXT,
      faults INTEGER,                 -- NULL where kvm_guest_fault was not recorded
      faults_basis TEXT,
      faults_without_operation INTEGER, -- that came to nothing
      faults_of_unknown_outcome INTEGER, -- in slots that nothing tells, or under way at the end: with the others and the calls they are faults
      faults_without_operation_basis TEXT,
      hypercalls INTEGER,             -- NULL on the traditional path, and where not all are known
      hypercalls_basis TEXT,
      mappings_live INTEGER,          -- live is at the end; each peak at its own moment; NULL where memory_basis is unknown
      mappings_peak INTEGER,          -- mappings are pKVM's alone
      mapping_tree_bytes_live INTEGER,
      mapping_tree_bytes_peak INTEGER,
      pgd_pages INTEGER,
      table_pages_live INTEGER,
      table_pages_peak INTEGER,
      memcache_pages_live INTEGER,
      memcache_pages_peak INTEGER,
      total_bytes_live INTEGER,
      total_bytes_peak INTEGER,
      memory_basis TEXT NOT NULL,     -- 'derived', 'assumed' or 'unknown': the weakest, that of total_bytes
      mappings_basis TEXT,
      mapping_tree_bytes_basis TEXT,
      tables_basis TEXT,              -- of the PGD, tables and memcaches
      PRIMARY KEY (recording, vm)
    ) STRICT;
    CREATE TABLE vcpus (
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      vcpu INTEGER NOT NULL,          -- in the order of appearance
      tid INTEGER NOT NULL,
      command TEXT,
      PRIMARY KEY (recording, vm, vcpu),
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE slots (
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      slot INTEGER NOT NULL,          -- in the order of appearance
      id INTEGER,                     -- its number in KVM
      gfn INTEGER NOT NULL,           -- in the host's pages
      pages INTEGER NOT NULL,
      hva INTEGER,
      flags INTEGER NOT NULL,         -- KVM_MEM_*
      basis TEXT NOT NULL,
      hva_basis TEXT,                 -- of a slot that was inferred; of others it is basis
      PRIMARY KEY (recording, vm, slot),
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE faults (
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      vcpu INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,       -- kvm_guest_fault
      end_ns INTEGER,                 -- the thread's next kvm_entry or return to the VMM; NULL where the trace ends before
      is_end_seen INTEGER NOT NULL,   -- 0: the thread was past it by end_ns
      cpu INTEGER NOT NULL,
      tid INTEGER NOT NULL,
      ipa INTEGER NOT NULL,           -- to 4 KiB
      kind TEXT NOT NULL,             -- 'translation', 'permission', 'accessFlag', ...: ESR_EL2.FSC
      level INTEGER,                  -- where the walk stopped; NULL where the syndrome does not tell, as of a walk of the guest's own table
      access TEXT NOT NULL,           -- 'read', 'write' or 'exec'
      mmio INTEGER,                   -- 1: kvm_mmio came; NULL where that was not recorded
      in_slot INTEGER NOT NULL,       -- 1: a slot that is known holds the address
      operation_id INTEGER REFERENCES operations, -- what it led to; NULL for nothing, or where that is not known
      FOREIGN KEY (recording, vm) REFERENCES vms,
      FOREIGN KEY (recording, vm, vcpu) REFERENCES vcpus
    ) STRICT;
    CREATE TABLE operations (
      id INTEGER PRIMARY KEY,         -- over all recordings, from 1, in the order in which they were settled
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,       -- of a fault's: in its window, mostly at the end
      cpu INTEGER NOT NULL,
      tid INTEGER NOT NULL,
      operation TEXT NOT NULL,        -- 'map', 'unmap', 'relax_perms', 'mkyoung', 'test_clear_young', 'wrprotect', 'flush', 'split'
      ipa INTEGER NOT NULL,
      size_bytes INTEGER,             -- NULL for a function of an address alone
      prot INTEGER,                   -- the kernel's kvm_pgtable_prot
      ret INTEGER,                    -- 0, a negative errno, or 0 and 1 of test_clear_young
      basis TEXT NOT NULL,            -- 'derived' or 'assumed'
      prot_basis TEXT,
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE memory (
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,       -- of the operation behind which it is so
      page_mappings INTEGER,          -- NULL on the traditional path
      block_mappings INTEGER,
      mapping_tree_bytes INTEGER,
      table_pages INTEGER NOT NULL,
      memcache_pages INTEGER NOT NULL,
      total_bytes INTEGER NOT NULL,
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE lock_holds (
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,
      held_ns INTEGER NOT NULL,       -- of the recorded host; a lower bound
      mode TEXT NOT NULL,             -- 'read', 'write' or 'none'
      cpu INTEGER NOT NULL,
      tid INTEGER NOT NULL,
      operation TEXT NOT NULL,
      ipa INTEGER NOT NULL,
      size_bytes INTEGER,
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE lock_waits (
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      time_ns INTEGER NOT NULL,
      waited_ns INTEGER NOT NULL,     -- of the recorded host
      mode TEXT NOT NULL,
      cpu INTEGER NOT NULL,
      tid INTEGER NOT NULL,
      operation TEXT,                 -- what was done under it then; NULL where no probe told
      ipa INTEGER,                    -- of the fault; NULL outside of one
      holder_tid INTEGER,             -- who had it; NULL where no probe told
      holder_cpu INTEGER,
      holder_operation TEXT,
      holder_ipa INTEGER,
      holder_size_bytes INTEGER,
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE lock_operations (    -- a row a function that ran under the lock or, where nothing would tell, may have
      recording INTEGER NOT NULL,
      vm INTEGER NOT NULL,
      operation TEXT NOT NULL,
      mode TEXT NOT NULL,             -- how the recorded host held the lock
      mode_basis TEXT NOT NULL,
      calls INTEGER,                  -- that probes told of; NULL where there is none on the function
      held_ns INTEGER,                -- NULL where no probe told how long: it is in no row of lock_holds then
      PRIMARY KEY (recording, vm, operation),
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE divergences (        -- a row a cause
      recording INTEGER NOT NULL REFERENCES recordings,
      rule TEXT NOT NULL,             -- 'D1', ...: pkvm-replay rules
      verdict TEXT NOT NULL,          -- 'unexplained', 'explained' or 'unknown'
      exception TEXT,                 -- what accounts for it: 'E1', ...
      time_ns INTEGER NOT NULL,       -- of the first event
      cpu INTEGER NOT NULL,
      tid INTEGER NOT NULL,
      vm INTEGER,
      ipa INTEGER,
      expected TEXT NOT NULL,
      observed TEXT NOT NULL,
      basis TEXT NOT NULL,            -- of the state that it contradicts
      count INTEGER NOT NULL,
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE divergence_events (  -- a row an event
      recording INTEGER NOT NULL REFERENCES recordings,
      rule TEXT NOT NULL,
      verdict TEXT NOT NULL,
      exception TEXT,
      time_ns INTEGER NOT NULL,
      cpu INTEGER NOT NULL,
      tid INTEGER NOT NULL,
      vm INTEGER,
      ipa INTEGER,
      FOREIGN KEY (recording, vm) REFERENCES vms
    ) STRICT;
    CREATE TABLE losses (
      recording INTEGER NOT NULL REFERENCES recordings,
      cpu INTEGER NOT NULL,
      before_ns INTEGER NOT NULL,     -- the first event behind the gap
      behind_last INTEGER NOT NULL,   -- 1: no event of the CPU follows, before_ns is its last one's; 0 for none at all
      count INTEGER                   -- NULL where that is not known
    ) STRICT;
    CREATE TABLE damage (
      recording INTEGER NOT NULL REFERENCES recordings,
      offset_bytes INTEGER NOT NULL,
      cpu INTEGER,                    -- NULL for the whole file
      what TEXT NOT NULL
    ) STRICT;
    CREATE TABLE markers (            -- a row a figure; one with figure NULL for a point that compares nothing
      recording INTEGER NOT NULL REFERENCES recordings,
      time_ns INTEGER NOT NULL,
      point TEXT NOT NULL,
      figure TEXT,
      pid INTEGER,
      since_first INTEGER,
      recorded INTEGER,
      modelled INTEGER,               -- NULL, as least, most and basis, where the events were not recorded that would tell
      least INTEGER,
      most INTEGER,
      verdict TEXT,                   -- 'agrees', 'covers', 'differs' or 'unknown'
      reason TEXT,
      basis TEXT
    ) STRICT;
    CREATE TABLE not_known (
      recording INTEGER NOT NULL REFERENCES recordings,
      what TEXT NOT NULL,             -- as in notKnown of the JSON report; 'events' for what is not known for want of some
      count INTEGER,
      words TEXT NOT NULL
    ) STRICT;
    CREATE VIEW fault_operations AS   -- faults with the operation that each led to
      SELECT f.recording, f.vm, f.vcpu, f.tid, f.time_ns, f.end_ns, f.ipa, f.kind, f.level, f.access,
        o.time_ns AS operation_ns, o.operation, o.ipa AS operation_ipa, o.size_bytes, o.ret, o.basis
      FROM faults f JOIN operations o ON o.id = f.operation_id;
    """

  /// Built when all rows are there: sorted once, in place of a search for each row.
  static let indexes = """
    CREATE INDEX faults_of_operations ON faults (operation_id) WHERE operation_id IS NOT NULL;
    CREATE INDEX unmaps ON operations (recording, vm, time_ns) WHERE operation = 'unmap';
    """
}
