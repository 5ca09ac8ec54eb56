using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Guests.Stress;

/// <summary>Processes, a debugger, and threads that share memory.</summary>
internal sealed partial class StressProgram
{
    private const ulong Status = Data + 0xc0;
    private const ulong Word = Data + 0xc8;
    private const ulong Stop = Data + 0xd0;
    private const ulong Ready = Data + 0xd8;
    private const int TraceMe = 0;
    private const int PeekUser = 3;
    private const int SingleStep = 9;
    private const int UserRip = 16 * 8;
    private const int StopSignal = 19;
    private const int StepLoops = 50;

    // CLONE_VM, FS, FILES, SIGHAND, THREAD and SYSVSEM.
    private const ulong ThreadFlags = 0x5_0f00;

    private void AddProcessCases()
    {
        // Each child changes what it shares with its parent, which must not see it; their exit codes add up.
        Check("fork", SumTo(40) + (40 * 1000), () =>
        {
            _a.xor(r12d, r12d);
            _a.mov(__qword_ptr[Word], 1000);
            Repeat(40, () =>
            {
                Label parent = _a.CreateLabel();
                Call(Fork);
                _a.test(eax, eax);
                _a.jne(parent);
                _a.mov(__qword_ptr[Word], 7);
                _a.mov(edi, ebx);
                _a.mov(eax, ExitGroup);
                _a.syscall();
                _a.Label(ref parent);
                WaitFor(rax);
                _a.movzx(eax, __byte_ptr[Status + 1]);
                _a.add(r12, rax);
                _a.add(r12, __qword_ptr[Word]);
            });
            _a.mov(rax, r12);
        });

        // The child counts down; every step is seen, at the right address: 1 + 2 * 50 + 2 steps. Places in the child: 5 behind the first MOV, 7 behind each DEC,
        // 5 behind each JNE but the last, 9 behind that, 14 and 19 behind the last two MOVs.
        const ulong steps = 1 + (2 * StepLoops) + 2;
        const ulong places = 5 + (7 * StepLoops) + (5 * (StepLoops - 1)) + 9 + 14 + 19;
        Check("single-step", (steps << 32) + places, () =>
        {
            Label parent = _a.CreateLabel();
            Label child = _a.CreateLabel();
            Label again = _a.CreateLabel();
            Label done = _a.CreateLabel();
            Label next = _a.CreateLabel();
            Call(Fork);
            _a.test(eax, eax);
            _a.jne(parent);
            Call(Ptrace, TraceMe);
            Call(GetPid);
            _a.mov(rdi, rax);
            _a.mov(esi, StopSignal);
            _a.mov(eax, Kill);
            _a.syscall();
            _a.Label(ref child);
            _a.db(0xb9, StepLoops, 0, 0, 0);
            _a.db(0xff, 0xc9);
            _a.db(0x75, 0xfc);
            _a.mov(edi, 7);
            _a.mov(eax, ExitGroup);
            _a.syscall();

            _a.Label(ref parent);
            _a.mov(r13, rax);
            _a.xor(r12d, r12d);
            _a.xor(ebx, ebx);
            WaitFor(r13);
            _a.Label(ref again);
            Trace(SingleStep);
            WaitFor(r13);
            _a.mov(eax, __dword_ptr[Status]);
            _a.and(eax, 0x7f);
            _a.je(done);
            _a.inc(rbx);
            _a.mov(r10, Word);
            Trace(PeekUser, UserRip);
            _a.mov(rax, __qword_ptr[Word]);
            _a.lea(rcx, __[child]);
            _a.sub(rax, rcx);
            _a.add(r12, rax);
            _a.jmp(again);
            _a.Label(ref done);
            _a.cmp(__byte_ptr[Status + 1], 7);
            _a.jne(next);
            _a.shl(rbx, 32);
            _a.add(r12, rbx);
            _a.Label(ref next);
            _a.mov(rax, r12);
        });
    }

    // A thread counts in a page that is made read-only again and again: once that has been done, no processor may count on. Its faults are handled by
    // returning to the instruction, which then succeeds or faults again.
    private void AddThreadCase()
    {
        Check("page-tables-and-two-processors", 200, () =>
        {
            Label parent = _a.CreateLabel();
            Label count = _a.CreateLabel();
            Handle(SegmentationFault, 0);
            _a.mov(__qword_ptr[Stop], 0);
            _a.mov(__qword_ptr[Ready], 0);
            Call(Clone, ThreadFlags, ThreadStack, 0, 0, 0);
            _a.test(eax, eax);
            _a.jne(parent);
            _a.mov(__qword_ptr[Ready], 1);
            _a.mov(rcx, SharedPage);
            _a.Label(ref count);
            _a.inc(__qword_ptr[rcx]);
            _a.cmp(__qword_ptr[Stop], 0);
            _a.je(count);
            Call(Exit, 0);

            _a.Label(ref parent);
            _a.pause();
            WaitUntilNot(Ready, 0);
            _a.mov(r13, SharedPage);
            _a.xor(r12d, r12d);
            Repeat(200, () =>
            {
                Label moved = _a.CreateLabel();
                Protect(1);
                _a.mov(r14, __qword_ptr[r13]);
                _a.mov(ecx, 2000);
                Label spin = _a.CreateLabel();
                _a.Label(ref spin);
                _a.pause();
                _a.dec(ecx);
                _a.jne(spin);
                _a.cmp(r14, __qword_ptr[r13]);
                _a.jne(moved);
                _a.inc(r12);
                _a.Label(ref moved);
                Protect(3);

                // It must count again.
                Label still = _a.CreateLabel();
                _a.Label(ref still);
                _a.pause();
                _a.cmp(r14, __qword_ptr[r13]);
                _a.je(still);
            });
            _a.mov(__qword_ptr[Stop], 1);
            _a.mov(rax, r12);
        });
    }

    private void WaitUntilNot(ulong address, int value)
    {
        Label wait = _a.CreateLabel();
        _a.Label(ref wait);
        _a.pause();
        _a.cmp(__qword_ptr[address], value);
        _a.je(wait);
    }

    private void WaitFor(AssemblerRegister64 process)
    {
        _a.mov(rdi, process);
        _a.mov(esi, (uint)Status);
        _a.xor(edx, edx);
        _a.xor(r10d, r10d);
        _a.mov(eax, Wait);
        _a.syscall();
    }

    // For the process in R13; R10 is the last argument.
    private void Trace(int request, ulong address = 0)
    {
        _a.mov(edi, request);
        _a.mov(rsi, r13);
        _a.mov(edx, (uint)address);
        if (request == SingleStep)
        {
            _a.xor(r10d, r10d);
        }

        _a.mov(eax, Ptrace);
        _a.syscall();
    }
}
