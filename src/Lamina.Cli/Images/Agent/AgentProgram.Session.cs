using Iced.Intel;
using Lamina.Vmm.Agent;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Cli.Images.Agent;

/// <content>One session: takes the request and the streams' connections, runs the command, and says how it ended.</content>
internal static partial class AgentProgram
{
    private const int LastSignal = 64;
    private const int KillSignal = 9;
    private const int StreamPatienceMilliseconds = 10_000;
    private const int Readable = 1;
    private const int ProcessKind = 1;
    private const int ExitedAndKept = 0x0100_0004;

    // The connection is in its variable.
    private static void WriteSession(GuestCode code, Label session, Label failed)
    {
        Label pipes = code.NewLabel();
        Label started = code.NewLabel();
        code.Mark(session);
        code.Call(LinuxCall.Close, Variable.Listener);
        code.Call(LinuxCall.StartSession);
        WriteSignalDefaults(code);
        WriteRequest(code, failed);
        WriteStreamListener(code, failed);
        WriteStream(code, Variable.Output, failed);
        WritePipe(code, Variable.EndSource, failed);
        code.GoUnlessEqual(Variable.Request, AgentProtocol.TerminalFlag, pipes, AgentProtocol.FlagsOffset);
        WriteTerminalCommand(code, failed);
        code.Go(started);
        code.Mark(pipes);
        WritePipedCommand(code, failed);
        code.Mark(started);
        WriteController(code, failed);
        WriteEnd(code, failed);
    }

    // Whoever started the agent may have had some ignored, and a command is to find none so.
    private static void WriteSignalDefaults(GuestCode code)
    {
        code.Assembler.mov(ebx, 1);
        Label action = code.Constant(new byte[32]);
        Label next = code.Here();
        code.Assembler.mov(eax, ebx);
        code.Call(LinuxCall.SetSignalAction, Argument.Result, action, 0, SignalSetLength);
        code.Assembler.inc(ebx);
        code.Assembler.cmp(ebx, LastSignal);
        code.Assembler.jbe(next);
    }

    private static void WriteRequest(GuestCode code, Label failed)
    {
        code.Assembler.mov(ebx, AgentProtocol.RequestLength);
        WriteReadAll(code, Variable.Connection, Variable.Request, failed);
        code.GoUnlessEqual(Variable.Request, AgentProtocol.Signature, failed);
        code.GoIfAbove(Variable.Request, AgentProtocol.MaximumStrings, failed, AgentProtocol.ArgumentsOffset);
        code.GoIfAbove(Variable.Request, AgentProtocol.MaximumStrings, failed, AgentProtocol.EnvironmentOffset);
        code.GoIfAbove(Variable.Request, AgentProtocol.MaximumLength, failed, AgentProtocol.LengthOffset);
        code.GoIfEqual(Variable.Request, 0, failed, AgentProtocol.ArgumentsOffset);
        code.Copy(Variable.Request, AgentProtocol.WindowOffset, Variable.WindowSize);
        code.Assembler.mov(ebx, GuestCode.At(Variable.Request, AgentProtocol.LengthOffset));
        WriteReadAll(code, Variable.Connection, Variable.Strings, failed);

        // R12: the next string; R13: their end; R14: the next address.
        code.Assembler.lea(r12, __[rbp + (int)Variable.Strings]);
        code.Assembler.mov(r13d, GuestCode.At(Variable.Request, AgentProtocol.LengthOffset));
        code.Assembler.add(r13, r12);
        code.Assembler.lea(r14, __[rbp + (int)Variable.Addresses]);
        WriteAddresses(code, AgentProtocol.ArgumentsOffset, failed);
        code.Assembler.mov(r15, r14);
        WriteAddresses(code, AgentProtocol.EnvironmentOffset, failed);
    }

    // The addresses of so many strings, and a zero.
    private static void WriteAddresses(GuestCode code, int countOffset, Label failed)
    {
        Label done = code.NewLabel();
        code.Assembler.mov(ebx, GuestCode.At(Variable.Request, countOffset));
        Label next = code.Here();
        code.Assembler.test(ebx, ebx);
        code.Assembler.je(done);
        code.Assembler.mov(__qword_ptr[r14], r12);
        code.Assembler.add(r14, 8);
        Label scan = code.Here();
        code.Assembler.cmp(r12, r13);
        code.Assembler.jae(failed);
        code.Assembler.inc(r12);
        code.Assembler.cmp(__byte_ptr[r12 - 1], 0);
        code.Assembler.jne(scan);
        code.Assembler.dec(ebx);
        code.Go(next);
        code.Mark(done);
        code.Assembler.mov(__qword_ptr[r14], 0);
        code.Assembler.add(r14, 8);
    }

    // A port of its own, where the streams' connections are awaited.
    private static void WriteStreamListener(GuestCode code, Label failed)
    {
        code.CallOr(failed, LinuxCall.Socket, SocketFamily, StreamSocket | CloseOnExecute, 0);
        code.Keep(Variable.Listener);
        code.CallOr(failed, LinuxCall.Bind, Variable.Listener, code.Constant(CreateAddress(uint.MaxValue)), AddressLength);
        code.CallOr(failed, LinuxCall.Listen, Variable.Listener, Waiting);
        code.Set(Variable.AddressLength, AddressLength);
        code.CallOr(failed, LinuxCall.GetSocketName, Variable.Listener, Argument.AddressOf(Variable.Peer), Argument.AddressOf(Variable.AddressLength));
        code.CallOr(failed, LinuxCall.Write, Variable.Connection, Argument.AddressOf(Variable.Peer, 4), 4);
    }

    private static void WriteStream(GuestCode code, Variable stream, Label failed)
    {
        Label accepted = code.NewLabel();
        Label again = code.Here();
        code.Copy(Variable.Listener, 0, Variable.Polled);
        code.Set(Variable.Polled, Readable, 4);
        code.CallOr(failed, LinuxCall.Poll, Argument.AddressOf(Variable.Polled), 1, StreamPatienceMilliseconds);
        code.Assembler.je(failed);
        WriteAccept(code, failed);
        code.Keep(stream);
        code.GoIfEqual(Variable.Peer, HostAddress, accepted, AddressOffset);
        code.Call(LinuxCall.Close, stream);
        code.Go(again);
        code.Mark(accepted);
    }

    private static void WriteEnd(GuestCode code, Label failed)
    {
        // Each stream and each pipe ends with the process that copies it.
        foreach (Variable descriptor in (Variable[])
            [Variable.Output, Variable.Error, Variable.Input, Variable.Master, Variable.OutputSource, Variable.ErrorSource, Variable.InputSink, Variable.EndSource])
        {
            WriteCloseIfOpen(code, descriptor);
        }

        // The command stays waited for until nobody sends it signals any more, so that its number is nobody else's.
        code.Call(LinuxCall.WaitForState, ProcessKind, Variable.Command, Argument.AddressOf(Variable.Information), ExitedAndKept, 0);
        code.Call(LinuxCall.Kill, Variable.Controller, KillSignal);
        code.Call(LinuxCall.WaitFor, Variable.Controller, 0, 0, 0);
        code.Call(LinuxCall.Close, Variable.EndSink);
        Label noError = code.NewLabel();
        code.Call(LinuxCall.WaitFor, Variable.OutputPump, 0, 0, 0);
        code.GoIfEqual(Variable.ErrorPump, 0, noError);
        code.Call(LinuxCall.WaitFor, Variable.ErrorPump, 0, 0, 0);
        code.Mark(noError);
        code.Call(LinuxCall.Kill, Variable.InputPump, KillSignal);
        code.Call(LinuxCall.WaitFor, Variable.InputPump, 0, 0, 0);
        code.Call(LinuxCall.WaitFor, Variable.Command, Argument.AddressOf(Variable.Status), 0, 0);
        code.CallOr(failed, LinuxCall.Write, Variable.Connection, Argument.AddressOf(Variable.Status), 4);
        code.Call(LinuxCall.Exit, 0);
    }
}
