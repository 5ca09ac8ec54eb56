using System.Runtime.InteropServices;
using Lamina.Cli.Output;
using Lamina.Cli.Running;
using Lamina.Interop;
using Lamina.Interop.Terminals;
using Lamina.Management.Protocol;
using Lamina.Vmm.Serial;

namespace Lamina.Cli.Lifecycle;

/// <summary>This terminal, or these pipes, at the console of a machine that runs elsewhere.</summary>
internal sealed class AttachedConsole(MachineDirectory machines, string name, ControlClient client)
{
    private const int BlockSize = 16384;
    private static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(2);
    private volatile bool _left;

    /// <summary>Stays until the machine ends, the person leaves, or the reader of standard output goes away.</summary>
    public void Run()
    {
        bool terminal = TerminalMode.IsTerminal(Descriptor.StandardInput);
        ControlChannel channel = client.OpenStream(ControlVerbs.Console, new ConsoleArguments(), ControlJson.Default.ConsoleArguments);
        using DescriptorCharacterOutput output = DescriptorCharacterOutput.ForStandardOutput();
        ConsoleOutput console = new(output, raw: terminal && TerminalMode.IsTerminal(Descriptor.StandardOutput));
        using (PosixSignalRegistration resized = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => SendSize()))
        using (RawTerminal? raw = terminal ? RawTerminal.TryEnter() : null)
        {
            SendSize();
            new Thread(() => Type(channel, terminal)) { IsBackground = true, Name = "input" }.Start();
            byte[] buffer = new byte[BlockSize];
            int count;
            while ((count = channel.Read(buffer)) > 0 && output.Failure == null)
            {
                console.Write(buffer.AsSpan(0, count));
            }

            while (!output.Flush(FlushTimeout))
            {
                // Whoever reads is slow.
            }
        }

        if (terminal)
        {
            Messages.Write(_left ? $"the machine '{name}' goes on. Come back with: lamina console {name}" : $"the machine '{name}' has ended");
        }
    }

    // On a thread of its own.
    private void Type(ControlChannel channel, bool terminal)
    {
        StandardInput source = new();
        if (terminal)
        {
            ChannelInputPort port = new(channel);
            TerminalInput input = new(source, port, () => Leave(channel), ShowKeys, new EscapeKeys(attached: true));
            input.OnReady();
            input.Run();
            return;
        }

        // The end of a pipe does not end the console: what it asked for is still to be shown.
        byte[] buffer = new byte[BlockSize];
        int count;
        while ((count = source.Read(buffer)) > 0 && channel.TryWrite(buffer.AsSpan(0, count)))
        {
        }
    }

    private void Leave(ControlChannel channel)
    {
        _left = true;
        channel.Abort();
    }

    private void SendSize()
    {
        if (!TerminalMode.TryGetSize(Descriptor.StandardInput, out TerminalSize size) || size is not { Rows: > 0, Columns: > 0 })
        {
            return;
        }

        try
        {
            using ControlClient other = machines.Connect(name, AnswerTimeout);
            other.Call(ControlVerbs.Resize, new SizeArguments { Columns = size.Columns, Rows = size.Rows }, ControlJson.Default.SizeArguments);
        }
        catch (Exception e) when (e is ControlException or LaminaException)
        {
            // A console of another size than its window can still be used.
        }
    }

    private static void ShowKeys()
    {
        Messages.Write("keys");
        foreach (string line in EscapeKeys.AttachedHelp)
        {
            Messages.Write($"  {line}");
        }
    }
}
