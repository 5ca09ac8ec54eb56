using System.Collections.Concurrent;

namespace Lamina.Vmm.Events;

/// <summary>Work for the event loop whose end others wait for. What it throws is thrown there.</summary>
internal sealed class LoopWork
{
    private readonly ConcurrentQueue<Action> _waiting = new();
    private readonly Posting _posting;

    internal LoopWork(EventLoop loop)
    {
        _posting = new Posting(loop, RunAll);
    }

    /// <summary>Does something on the loop's thread, and waits. Not on that thread.</summary>
    /// <param name="work">What is to be done.</param>
    /// <param name="end">Completes when the loop has ended.</param>
    /// <returns>Whether it was done; otherwise the loop has ended.</returns>
    internal bool Run(Action work, Task end)
    {
        TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting.Enqueue(() =>
        {
            try
            {
                work();
                done.SetResult();
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        _posting.Schedule();
        Task.WaitAny(done.Task, end);
        if (!done.Task.IsCompleted)
        {
            return false;
        }

        done.Task.GetAwaiter().GetResult();
        return true;
    }

    private void RunAll()
    {
        while (_waiting.TryDequeue(out Action? work))
        {
            work();
        }
    }
}
