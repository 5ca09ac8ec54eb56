using System.Text;

namespace Lamina.Cli.Running;

/// <summary>Sends standard input to a command in the guest: a size line and the bytes, one block for each that was taken, and "0" at the end.</summary>
internal sealed class CommandInput(IInputSource source, IInputPort port)
{
    private const int BlockSize = 32768;
    private readonly object _lock = new();
    private readonly Lock _writing = new();
    private int _credit;

    /// <summary>The guest has room for a block. Any thread.</summary>
    public void OnTaken()
    {
        lock (_lock)
        {
            _credit++;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Sends until the input ends.</summary>
    public void Run()
    {
        byte[] buffer = new byte[BlockSize];
        int count;
        do
        {
            WaitForCredit();
            count = source.Read(buffer);
            lock (_writing)
            {
                port.Write(Encoding.ASCII.GetBytes($"{count}\n"));
                port.Write(buffer.AsSpan(0, count));
            }
        }
        while (count > 0);
    }

    /// <summary>Says that the machine is to stop, between two blocks or after the end. Any thread.</summary>
    public void Stop()
    {
        lock (_writing)
        {
            port.Write("stop\n"u8);
        }
    }

    private void WaitForCredit()
    {
        lock (_lock)
        {
            while (_credit == 0)
            {
                Monitor.Wait(_lock);
            }

            _credit--;
        }
    }
}
