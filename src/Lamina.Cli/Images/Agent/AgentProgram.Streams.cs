using Iced.Intel;
using Lamina.Vmm.Agent;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Cli.Images.Agent;

/// <content>The command, with pipes or a terminal, and the processes that serve it.</content>
internal static partial class AgentProgram
{
    private const int OpenTerminal = 0x102;
    private const int UnlockTerminal = 0x4004_5431;
    private const int GetTerminalPeer = 0x5441;
    private const int SetControllingTerminal = 0x540e;
    private const int SetWindowSize = 0x5414;
    private const int NotFound = 127;
    private const int HangUpSignal = 1;
    private const int BufferLength = Variable.End - Variable.Buffer;
    private const int LastOpen = 63;
    private const int Forever = -1;

    // Where a serving process has what it copies from and to, and what tells it of the command's end.
    private const int From = 0;
    private const int To = 1;
    private const int End = 2;

    private static void WritePipedCommand(GuestCode code, Label failed)
    {
        WriteStream(code, Variable.Error, failed);
        WriteStream(code, Variable.Input, failed);
        code.Call(LinuxCall.Close, Variable.Listener);
        WritePipe(code, Variable.OutputSource, failed);
        WritePipe(code, Variable.ErrorSource, failed);
        WritePipe(code, Variable.InputSource, failed);
        WriteCommand(code, failed, Variable.InputSource, Variable.OutputSink, Variable.ErrorSink, controlsTerminal: false);
        code.Call(LinuxCall.Close, Variable.InputSource);
        code.Call(LinuxCall.Close, Variable.OutputSink);
        code.Call(LinuxCall.Close, Variable.ErrorSink);
        WritePump(code, Variable.OutputPump, Variable.OutputSource, Variable.Output, endsWithCommand: true, failed);
        WritePump(code, Variable.ErrorPump, Variable.ErrorSource, Variable.Error, endsWithCommand: true, failed);
        WritePump(code, Variable.InputPump, Variable.Input, Variable.InputSink, endsWithCommand: false, failed);
    }

    private static void WriteTerminalCommand(GuestCode code, Label failed)
    {
        code.Call(LinuxCall.Close, Variable.Listener);
        code.CallOr(failed, LinuxCall.Open, code.Constant("/dev/ptmx\0"u8), OpenTerminal | CloseOnExecute);
        code.Keep(Variable.Master);
        code.CallOr(failed, LinuxCall.Control, Variable.Master, UnlockTerminal, code.Constant(new byte[4]));
        code.CallOr(failed, LinuxCall.Control, Variable.Master, GetTerminalPeer, OpenTerminal | CloseOnExecute);
        code.Keep(Variable.Terminal);
        code.Call(LinuxCall.Control, Variable.Master, SetWindowSize, Argument.AddressOf(Variable.WindowSize));
        WriteCommand(code, failed, Variable.Terminal, Variable.Terminal, Variable.Terminal, controlsTerminal: true);
        code.Call(LinuxCall.Close, Variable.Terminal);
        WritePump(code, Variable.OutputPump, Variable.Master, Variable.Output, endsWithCommand: true, failed);
        WritePump(code, Variable.InputPump, Variable.Output, Variable.Master, endsWithCommand: false, failed);
    }

    private static void WritePipe(GuestCode code, Variable ends, Label failed) => code.CallOr(failed, LinuxCall.Pipe, Argument.AddressOf(ends), CloseOnExecute);

    // This process stands still until the command is itself, so that it has a session of its own when the first signal comes. R15 is where the environment's addresses are.
    private static void WriteCommand(GuestCode code, Label failed, Variable input, Variable output, Variable error, bool controlsTerminal)
    {
        Label parent = code.NewLabel();
        code.CallOr(failed, LinuxCall.ForkAndWait);
        code.Assembler.test(eax, eax);
        code.Assembler.jne(parent);
        code.Call(LinuxCall.StartSession);
        if (controlsTerminal)
        {
            code.Call(LinuxCall.Control, input, SetControllingTerminal, 0);
        }

        code.Call(LinuxCall.Duplicate, input, 0);
        code.Call(LinuxCall.Duplicate, output, 1);
        code.Call(LinuxCall.Duplicate, error, 2);
        code.Assembler.mov(rdi, __qword_ptr[rbp + (int)Variable.Addresses]);
        code.Assembler.lea(rsi, __[rbp + (int)Variable.Addresses]);
        code.Assembler.mov(rdx, r15);
        code.Assembler.mov(eax, (int)LinuxCall.Execute);
        code.Assembler.syscall();
        code.Call(LinuxCall.Exit, NotFound);
        code.Mark(parent);
        code.Keep(Variable.Command);
    }

    // A process that copies, until there is nothing more or nobody who takes it; or, if it ends with the command, until the command has ended and all that it left is copied, however many
    // hold the other end.
    private static void WritePump(GuestCode code, Variable process, Variable from, Variable to, bool endsWithCommand, Label failed)
    {
        Label parent = code.NewLabel();
        Label done = code.NewLabel();
        WriteFork(code, process, parent, failed);
        WriteTake(code, from, to, hasEnd: endsWithCommand);
        Label next = code.Here();
        if (endsWithCommand)
        {
            code.Set(Variable.Polled, From);
            code.Set(Variable.Polled, Readable, 4);
            code.Set(Variable.Polled, End, 8);
            code.Set(Variable.Polled, Readable, 12);
            code.CallOr(done, LinuxCall.Poll, Argument.AddressOf(Variable.Polled), 2, Forever);
            code.Assembler.cmp(__word_ptr[rbp + (int)Variable.Polled + 6], 0);
            code.Assembler.je(done);
        }

        code.Call(LinuxCall.Read, From, Argument.AddressOf(Variable.Buffer), BufferLength);
        code.Assembler.test(rax, rax);
        code.Assembler.jle(done);
        code.Assembler.mov(ebx, eax);
        code.Assembler.lea(r12, __[rbp + (int)Variable.Buffer]);
        Label write = code.Here();
        code.Assembler.mov(edi, To);
        code.Assembler.mov(rsi, r12);
        code.Assembler.mov(edx, ebx);
        code.Assembler.mov(eax, (int)LinuxCall.Write);
        code.Assembler.syscall();
        code.Assembler.test(rax, rax);
        code.Assembler.jle(done);
        code.Assembler.add(r12, rax);
        code.Assembler.sub(ebx, eax);
        code.Assembler.jne(write);
        code.Go(next);
        code.Mark(done);
        code.Call(LinuxCall.Exit, 0);
        code.Mark(parent);
    }

    // Takes the host's messages: signals for the command's group, and the window's size. When the host goes away, the command hears that it has been left.
    private static void WriteController(GuestCode code, Label failed)
    {
        Label parent = code.NewLabel();
        Label gone = code.NewLabel();
        Label resize = code.NewLabel();
        WriteFork(code, Variable.Controller, parent, failed);
        WriteTake(code, Variable.Connection, Variable.Master, hasEnd: false);
        Label next = code.Here();
        code.Assembler.mov(ebx, AgentProtocol.MessageLength);
        code.Set(Variable.Connection, From);
        WriteReadAll(code, Variable.Connection, Variable.Message, gone);
        code.GoIfEqual(Variable.Message, AgentProtocol.SizeMessage, resize);
        code.GoUnlessEqual(Variable.Message, AgentProtocol.SignalMessage, next);
        code.GoIfAbove(Variable.Message, LastSignal, next, 4);
        code.Copy(Variable.Message, 4, Variable.Status);
        code.Call(LinuxCall.Kill, Argument.GroupOf(Variable.Command), Variable.Status);
        code.Go(next);
        code.Mark(resize);
        code.Call(LinuxCall.Control, To, SetWindowSize, Argument.AddressOf(Variable.Message, 4));
        code.Go(next);
        code.Mark(gone);
        code.Call(LinuxCall.Kill, Argument.GroupOf(Variable.Command), HangUpSignal);
        code.Call(LinuxCall.Exit, 0);
        code.Mark(parent);
    }

    private static void WriteFork(GuestCode code, Variable process, Label parent, Label failed)
    {
        code.CallOr(failed, LinuxCall.Fork);
        code.Keep(process);
        code.Assembler.test(eax, eax);
        code.Assembler.jne(parent);
    }

    // Keeps what a serving process works with, and closes everything else.
    private static void WriteTake(GuestCode code, Variable from, Variable to, bool hasEnd)
    {
        code.Call(LinuxCall.Duplicate, from, From);
        code.Call(LinuxCall.Duplicate, to, To);
        if (hasEnd)
        {
            code.Call(LinuxCall.Duplicate, Variable.EndSource, End);
        }

        code.Assembler.mov(ebx, End + 1);
        Label close = code.Here();
        code.Assembler.mov(eax, ebx);
        code.Call(LinuxCall.Close, Argument.Result);
        code.Assembler.inc(ebx);
        code.Assembler.cmp(ebx, LastOpen);
        code.Assembler.jbe(close);
    }

    // Reads as many bytes as EBX says.
    private static void WriteReadAll(GuestCode code, Variable from, Variable to, Label failed)
    {
        Label done = code.NewLabel();
        code.Assembler.lea(r12, __[rbp + (int)to]);
        Label next = code.Here();
        code.Assembler.test(ebx, ebx);
        code.Assembler.je(done);
        code.Assembler.mov(edi, GuestCode.At(from));
        code.Assembler.mov(rsi, r12);
        code.Assembler.mov(edx, ebx);
        code.Assembler.xor(eax, eax);
        code.Assembler.syscall();
        code.Assembler.test(rax, rax);
        code.Assembler.jle(failed);
        code.Assembler.add(r12, rax);
        code.Assembler.sub(ebx, eax);
        code.Go(next);
        code.Mark(done);
    }

    private static void WriteCloseIfOpen(GuestCode code, Variable descriptor)
    {
        Label absent = code.NewLabel();
        code.GoIfEqual(descriptor, 0, absent);
        code.Call(LinuxCall.Close, descriptor);
        code.Mark(absent);
    }
}
