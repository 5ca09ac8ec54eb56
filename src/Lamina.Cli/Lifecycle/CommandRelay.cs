using System.Runtime.InteropServices;
using Lamina.Cli.Running;
using Lamina.Interop;
using Lamina.Interop.Terminals;
using Lamina.Vmm.Agent;

namespace Lamina.Cli.Lifecycle;

/// <summary>A command in a guest and this process's standard streams, signals and window.</summary>
internal sealed class CommandRelay(GuestCommand command, bool hasTerminal)
{
    private const int BlockSize = 1 << 15;
    private const int BrokenPipeStatus = 141;
    private static readonly (PosixSignal Signal, int Number)[] Signals = [(PosixSignal.SIGHUP, 1), (PosixSignal.SIGINT, 2), (PosixSignal.SIGQUIT, 3), (PosixSignal.SIGTERM, 15)];
    private volatile bool _outputFailed;

    /// <summary>The window of this process's terminal; the usual size where there is none.</summary>
    public static TerminalWindow WindowSize =>
        TerminalMode.TryGetSize(Descriptor.StandardInput, out TerminalSize size) && size is { Rows: > 0, Columns: > 0 } ? new TerminalWindow(size.Columns, size.Rows) : new TerminalWindow(80, 24);

    /// <summary>Stays until the command has ended.</summary>
    /// <returns>Its exit status.</returns>
    /// <exception cref="GuestAgentException">The machine has ended before.</exception>
    public int Run()
    {
        using RawTerminal? raw = hasTerminal ? RawTerminal.TryEnter() : null;
        List<PosixSignalRegistration> registrations = [.. Signals.Select(s => PosixSignalRegistration.Create(s.Signal, c => Forward(c, s.Number)))];
        registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => command.Resize(WindowSize)));
        try
        {
            // Reading standard input cannot be interrupted, so the process ends without waiting for it.
            new Thread(CopyInput) { IsBackground = true, Name = "input" }.Start();
            Thread error = new(() => Copy(command.Error, Descriptor.StandardError)) { IsBackground = true, Name = "error output" };
            error.Start();
            Copy(command.Output, Descriptor.StandardOutput);
            error.Join();
            return _outputFailed ? BrokenPipeStatus : command.Completion.GetAwaiter().GetResult();
        }
        finally
        {
            registrations.ForEach(static r => r.Dispose());
        }
    }

    private void Forward(PosixSignalContext context, int number)
    {
        context.Cancel = true;
        command.Signal(number);
    }

    private void CopyInput()
    {
        StandardInput source = new();
        byte[] buffer = new byte[BlockSize];
        try
        {
            int count;
            while ((count = source.Read(buffer)) > 0)
            {
                command.Input.Write(buffer, 0, count);
            }

            command.EndInput();
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The command reads no more.
        }
    }

    private void Copy(Stream from, int to)
    {
        byte[] buffer = new byte[BlockSize];
        try
        {
            int count;
            while ((count = from.Read(buffer)) > 0)
            {
                if (!TryWriteAll(to, buffer.AsSpan(0, count)))
                {
                    // Nobody takes it any more: the command is told as it would be here.
                    _outputFailed = true;
                    command.Dispose();
                    return;
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The machine has ended, which the command's completion tells.
        }
    }

    private static bool TryWriteAll(int descriptor, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            int count = Descriptor.Write(descriptor, data, out int error);
            if (count > 0)
            {
                data = data[count..];
            }
            else if (error == ErrorNumber.TryAgain)
            {
                Descriptor.Wait(descriptor, Interop.Events.Readiness.Writable, -1);
            }
            else
            {
                return false;
            }
        }

        return true;
    }
}
