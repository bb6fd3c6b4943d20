internal import Dispatch
internal import Stage2Model

/// Executes the steps of VMs, on threads of its own where more than one job is allowed.
///
/// VMs share nothing, so their batches run side by side; and while they run, the next steps are settled. What comes of a
/// batch is taken when the next one is handed over, however many jobs there are: the result is the same for every number
/// of them.
///
/// Invariant: between `start` and the end of `wait` nobody but the pool's threads touches the executions and the queue.
struct ExecutionPool<Backend: Stage2Backend & ~Copyable> {
  private(set) var executions: [VMExecution<Backend>] = []
  private let jobs: Int
  private let threads: DispatchQueue?
  private let running = DispatchGroup()

  /// - Parameter jobs: how many threads may work at once, the caller's among them.
  init(jobs: Int) {
    self.jobs = jobs
    threads =
      jobs > 1 ? DispatchQueue(label: "execution of VMs", attributes: .concurrent) : nil
  }

  mutating func append(_ execution: VMExecution<Backend>) { executions.append(execution) }

  /// Begins to execute what waits for each VM.
  func start(_ queue: ExecutionQueue) {
    let part = Part(executions: executions, queue: queue)
    guard let threads else { return part.run(0, of: 1) }
    let workers = min(max(jobs - 1, 1), queue.batches.count)
    for worker in 0..<workers { threads.async(group: running) { part.run(worker, of: workers) } }
  }

  /// Executes what waits up to each marker, and calls `body` there.
  func execute(_ queue: ExecutionQueue, atMarkers body: (_ marker: Int, _ order: UInt64) -> Void) {
    var positions = Array(repeating: 0, count: queue.batches.count)
    for (order, marker) in queue.markers {
      for (vm, batch) in queue.batches.enumerated() {
        positions[vm] = executions[vm].execute(batch, from: positions[vm], before: order)
      }
      body(marker, order)
    }
    for (vm, batch) in queue.batches.enumerated() { executions[vm].execute(batch, from: positions[vm]) }
  }

  /// Waits until all that was begun is executed.
  func wait() { if threads != nil { running.wait() } }

  /// What the threads of the pool share. Each VM is one thread's alone, so nothing is accessed from two.
  private struct Part: @unchecked Sendable {
    let executions: [VMExecution<Backend>]
    let queue: ExecutionQueue

    func run(_ worker: Int, of workers: Int) {
      for vm in stride(from: worker, to: queue.batches.count, by: workers) {
        executions[vm].execute(queue.batches[vm])
      }
    }
  }
}
