using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Guests.Stress;

/// <summary>Signals and traps.</summary>
internal sealed partial class StressProgram
{
    private const int IllegalInstruction = 4;
    private const int Trap = 5;
    private const int User1 = 10;
    private const int SegmentationFault = 11;
    private const ulong Action = Data + 0x40;
    private const ulong Count = Data + 0x80;

    // Of RIP in what the kernel gives a handler as its third argument (asm/sigcontext.h).
    private const int ContextRip = 168;
    private const int RestorerFlag = 0x0400_0000;
    private const int SiginfoFlag = 4;

    private readonly Label[] _handlers = new Label[2];
    private Label _restorer;

    private void AddSignalCases()
    {
        _handlers[0] = _a.CreateLabel("count");
        _handlers[1] = _a.CreateLabel("skip");
        _restorer = _a.CreateLabel("restorer");
        Check("signals", 500, () =>
        {
            Handle(User1, 0);
            Call(GetPid);
            _a.mov(r13, rax);
            Repeat(500, () =>
            {
                _a.mov(rdi, r13);
                _a.mov(esi, User1);
                _a.mov(eax, Kill);
                _a.syscall();
            });
            _a.mov(rax, __qword_ptr[Count]);
        });

        // The handler steps over the three bytes of MOV AL, [RCX + 8], and all else is as it was.
        Check("faults", 200 * 3, () =>
        {
            Handle(SegmentationFault, 1);
            _a.xor(r12d, r12d);
            _a.xor(ecx, ecx);
            Repeat(200, () =>
            {
                Label wrong = _a.CreateLabel();
                _a.mov(eax, 2);
                _a.stc();
                _a.db(0x8a, 0x41, 0x08);
                _a.jnc(wrong);
                _a.inc(r12);
                _a.Label(ref wrong);
                _a.add(r12, rax);
            });
            _a.mov(rax, r12);
        });

        // UD2 and a byte, stepped over likewise.
        Check("undefined-instructions", 200, () =>
        {
            Handle(IllegalInstruction, 1);
            _a.xor(r12d, r12d);
            Repeat(200, () =>
            {
                _a.db(0x0f, 0x0b, 0x90);
                _a.inc(r12);
            });
            _a.mov(rax, r12);
        });

        // A function that begins with NOP, then with INT3, then with NOP again; called each time.
        Check("int3-patching", (SlowRounds * 3 * 2) + SlowRounds, () =>
        {
            Handle(Trap, 0);
            _a.xor(r12d, r12d);
            _a.mov(r13, Patched + 0x200);
            _a.mov(__dword_ptr[r13], 0x02b8_9090);
            _a.mov(__dword_ptr[r13 + 4], unchecked((int)0xc300_0000));
            Repeat(SlowRounds, () =>
            {
                foreach (byte first in (byte[])[0x90, 0xcc, 0x90])
                {
                    _a.mov(__byte_ptr[r13 + 1], first);
                    _a.call(r13);
                    _a.add(r12, rax);
                }
            });
            _a.add(r12, __qword_ptr[Count]);
            _a.mov(rax, r12);
        });
    }

    // Installs a handler and clears the count.
    private void Handle(int signal, int handler)
    {
        _a.lea(rax, __[_handlers[handler]]);
        _a.mov(__qword_ptr[Action], rax);
        _a.mov(rax, (ulong)(RestorerFlag | SiginfoFlag));
        _a.mov(__qword_ptr[Action + 8], rax);
        _a.lea(rax, __[_restorer]);
        _a.mov(__qword_ptr[Action + 16], rax);
        _a.mov(__qword_ptr[Action + 24], 0);
        _a.mov(__qword_ptr[Count], 0);
        Call(SigAction, (ulong)signal, Action, 0, 8);
    }

    private void AddRoutines()
    {
        _a.Label(ref _handlers[0]);
        _a.inc(__qword_ptr[Count]);
        _a.ret();
        _a.Label(ref _handlers[1]);
        _a.add(__qword_ptr[rdx + ContextRip], 3);
        _a.ret();
        _a.Label(ref _restorer);
        _a.mov(eax, SigReturn);
        _a.syscall();
    }
}
