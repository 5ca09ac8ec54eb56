using System.Buffers.Binary;
using System.Net.Sockets;

namespace Lamina.Vmm.Agent;

/// <summary>A command that runs in a guest. Its streams may be used from a thread each; the rest from any. Disposing it before its end sends it SIGHUP.</summary>
public sealed class GuestCommand : IDisposable
{
    private const int SignalBase = 128;
    private const int SignalBits = 0x7f;
    private readonly Socket _control;
    private readonly Socket _input;
    private readonly NetworkStream[] _streams;
    private readonly bool _hasTerminal;
    private readonly Lock _lock = new();

    internal GuestCommand(Socket control, Socket[] streams)
    {
        _control = control;
        _hasTerminal = streams.Length == 1;
        _streams = [.. streams.Select(s => new NetworkStream(s, ownsSocket: true))];
        _input = streams[^1];
        Completion = Task.Factory.StartNew(WaitForStatus, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <summary>What it reads.</summary>
    public Stream Input => _streams[^1];

    /// <summary>What it writes; with a terminal, all of that. Ends with the command: what processes that it left behind write later is lost.</summary>
    public Stream Output => _streams[0];

    /// <summary>What it writes to its standard error; nothing with a terminal.</summary>
    public Stream Error => _hasTerminal ? Stream.Null : _streams[1];

    /// <summary>Its exit status, or 128 and the number of the signal that ended it. Fails with <see cref="GuestAgentException"/> if that cannot be known, because the machine has ended.</summary>
    /// <remarks>It comes when all its output has been taken from it, so somebody has to read that.</remarks>
    public Task<int> Completion { get; }

    /// <summary>Says that there is no more input. A terminal has no such end: a person types Ctrl-D there.</summary>
    public void EndInput()
    {
        if (!_hasTerminal)
        {
            try
            {
                _input.Shutdown(SocketShutdown.Send);
            }
            catch (SocketException)
            {
                // It has ended before.
            }
        }
    }

    /// <summary>Sends a signal, by its number on Linux, to it and the processes of its group. After its end, nothing happens.</summary>
    public void Signal(int number)
    {
        Span<byte> value = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(value, number);
        Send(AgentProtocol.SignalMessage, value);
    }

    /// <summary>Says how large the window of its terminal is.</summary>
    public void Resize(TerminalWindow window)
    {
        Span<byte> value = stackalloc byte[sizeof(int)];
        CommandRequest.WriteWindow(value, window);
        Send(AgentProtocol.SizeMessage, value);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _control.Dispose();
        foreach (NetworkStream stream in _streams)
        {
            stream.Dispose();
        }
    }

    private void Send(int message, ReadOnlySpan<byte> value)
    {
        Span<byte> bytes = stackalloc byte[AgentProtocol.MessageLength];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, message);
        value.CopyTo(bytes[sizeof(int)..]);
        try
        {
            lock (_lock)
            {
                GuestAgent.SendAll(_control, bytes);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has ended.
        }
    }

    private int WaitForStatus()
    {
        Span<byte> bytes = stackalloc byte[sizeof(int)];
        try
        {
            GuestAgent.ReceiveAll(_control, bytes);
        }
        catch (Exception e) when (e is SocketException or IOException or ObjectDisposedException)
        {
            throw new GuestAgentException("the connection to the guest has ended before the command did", e);
        }

        int status = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        int signal = status & SignalBits;
        return signal == 0 ? (status >> 8) & 0xff : SignalBase + signal;
    }
}
