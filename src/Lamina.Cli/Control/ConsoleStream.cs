using Lamina.Management.Protocol;

namespace Lamina.Cli.Control;

/// <summary>Sends what the console shows to a client, until the machine ends or the client has ended its side.</summary>
internal sealed class ConsoleStream(ControlChannel channel, ConsoleReader reader)
{
    private const int BlockSize = 4096;

    /// <summary>What a client sent.</summary>
    public delegate void Receiver(ReadOnlySpan<byte> data);

    /// <summary>Sends, and hands over what comes.</summary>
    public void Run(Receiver receive)
    {
        Thread input = new(() => Receive(receive)) { IsBackground = true, Name = "control input" };
        input.Start();
        Send(wait: true);

        // Ends the other thread, too.
        channel.Abort();
        input.Join();
    }

    /// <summary>Sends what there is.</summary>
    public void Send(bool wait)
    {
        Span<byte> buffer = stackalloc byte[BlockSize];
        int count;
        while ((count = reader.Read(buffer, wait)) > 0 && channel.TryWrite(buffer[..count]))
        {
        }
    }

    private void Receive(Receiver receive)
    {
        Span<byte> buffer = stackalloc byte[BlockSize];
        int count;
        while ((count = channel.Read(buffer)) > 0)
        {
            receive(buffer[..count]);
        }

        reader.Cancel();
    }
}
