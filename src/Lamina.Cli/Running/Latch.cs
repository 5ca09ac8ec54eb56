namespace Lamina.Cli.Running;

/// <summary>Something that happens once, and can be waited for. Threads that wait at the end of the process are simply left, so there is nothing to dispose of.</summary>
internal sealed class Latch
{
    private readonly object _lock = new();
    private bool _set;

    /// <summary>Whether it has happened.</summary>
    public bool IsSet
    {
        get
        {
            lock (_lock)
            {
                return _set;
            }
        }
    }

    /// <summary>It happens.</summary>
    public void Set()
    {
        lock (_lock)
        {
            _set = true;
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Waits.</summary>
    public void Wait()
    {
        lock (_lock)
        {
            while (!_set)
            {
                Monitor.Wait(_lock);
            }
        }
    }

    /// <summary>Waits, but not for ever.</summary>
    /// <returns>Whether it has happened.</returns>
    public bool Wait(TimeSpan timeout)
    {
        long end = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_lock)
        {
            while (!_set && end - Environment.TickCount64 is var left and > 0)
            {
                Monitor.Wait(_lock, (int)left);
            }

            return _set;
        }
    }
}
