internal import Dispatch
internal import KVMTrace
internal import Stage2Model

/// Executes the steps of VMs, on threads of its own where more than one job is allowed.
///
/// VMs share nothing, so their batches run side by side; and while they run, the next steps are settled. What comes of a
/// batch is taken when the next one is handed over, however many jobs there are: the result is the same for every number
/// of them.
///
/// Invariant: `executions` points to initialised executions of VMs 0 and up until deinit, one allocation each; between `start`
/// and the end of `wait` nobody but the pool's threads touches them and the queue, and each thread only its own VMs.
struct ExecutionPool<Backend: Stage2Backend & ~Copyable>: ~Copyable {
  private var executions: [UnsafeMutablePointer<VMExecution<Backend>>] = []
  /// The threads that execute beside the caller's, which does it alone where there are none.
  private let workers: [WorkerThread]
  private let running = DispatchGroup()
  /// Whether threads may be at work: from `start` to `wait`.
  private var isRunning = false

  /// - Parameter workers: who executes while the caller goes on.
  init(workers: [WorkerThread]) { self.workers = workers }

  deinit {
    running.wait()
    for execution in executions {
      execution.deinitialize(count: 1)
      execution.deallocate()
    }
  }

  /// How many VMs there are.
  var count: Int { executions.count }

  /// A VM appears.
  mutating func append(_ execution: consuming VMExecution<Backend>) {
    precondition(!isRunning, "a VM is added while others are executed")
    let place = UnsafeMutablePointer<VMExecution<Backend>>.allocate(capacity: 1)
    place.initialize(to: execution)
    executions.append(place)
  }

  /// A VM's execution, while nothing runs.
  subscript(vm: VMIndex) -> VMExecution<Backend> {
    _read {
      precondition(!isRunning, "an execution is looked at while it may go on")
      yield executions[vm.position].pointee
    }
    nonmutating _modify {
      precondition(!isRunning, "an execution is changed while it may go on")
      yield &executions[vm.position].pointee
    }
  }

  /// Begins to execute what waits for each VM.
  mutating func start(_ queue: borrowing ExecutionQueue) {
    precondition(!isRunning, "steps are handed over while others are executed")
    let work = queue.vms.map { Work(execution: executions[$0.position], batch: queue.place(of: $0)) }
    let part = Part(work: work)
    if workers.isEmpty { return part.run(0, of: 1) }
    isRunning = true
    let count = min(workers.count, work.count)
    for (position, worker) in workers.prefix(count).enumerated() {
      worker.run(in: running) { part.run(position, of: count) }
    }
  }

  /// Executes what waits up to each marker, and calls `body` there.
  func execute(_ queue: borrowing ExecutionQueue, atMarkers body: (_ marker: Int, _ order: UInt64) -> Void) {
    var positions = Array(repeating: 0, count: queue.vms.count)
    for (order, marker) in queue.markers {
      for (place, vm) in queue.vms.enumerated() {
        positions[place] = executions[vm.position].pointee.execute(
          queue.place(of: vm), from: positions[place], before: order)
      }
      body(marker, order)
    }
    for (place, vm) in queue.vms.enumerated() {
      executions[vm.position].pointee.execute(queue.place(of: vm), from: positions[place])
    }
  }

  /// Waits until all that was begun is executed.
  mutating func wait() {
    if isRunning { running.wait() }
    isRunning = false
  }

  /// What waits for one VM.
  private struct Work {
    let execution: UnsafeMutablePointer<VMExecution<Backend>>
    let batch: UnsafePointer<ExecutionBatch>

    func run() { execution.pointee.execute(batch) }
  }

  /// What the threads of the pool share. Each VM is one thread's alone, so nothing is accessed from two.
  private struct Part: @unchecked Sendable {
    let work: [Work]

    func run(_ worker: Int, of workers: Int) {
      for position in stride(from: worker, to: work.count, by: workers) { work[position].run() }
    }
  }
}
