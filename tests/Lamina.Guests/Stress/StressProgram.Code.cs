using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.Guests.Stress;

/// <summary>Code that changes, and 32-bit code.</summary>
internal sealed partial class StressProgram
{
    private const int Rounds = 2000;
    private const int SlowRounds = 300;
    private const ulong NextInstruction = Patched + 0x100;
    private const int ReturnTo64 = 0x33;
    private const int Code32Selector = 0x23;

    private static ulong SumTo(int count) => (ulong)count * ((ulong)count + 1) / 2;

    private void AddCodeCases()
    {
        // A function whose constant is written before each call.
        Check("self-modifying-function", SumTo(Rounds), () =>
        {
            _a.xor(r12d, r12d);
            _a.mov(r13, Patched);
            Repeat(Rounds, () =>
            {
                WriteFunction();
                _a.call(Patched);
                _a.add(r12, rax);
            });
            _a.mov(rax, r12);
        });

        // MOV [R8], BL; MOV EAX, constant; RET, where the store writes the constant.
        Check("self-modifying-next-instruction", SumTo(255), () =>
        {
            _a.xor(r12d, r12d);
            _a.mov(r8, NextInstruction);
            foreach (byte value in (byte[])[0x41, 0x88, 0x18, 0xb8, 0, 0, 0, 0, 0xc3])
            {
                _a.mov(__byte_ptr[r8], value);
                _a.inc(r8);
            }

            _a.sub(r8, 5);
            Repeat(255, () =>
            {
                _a.call(NextInstruction);
                _a.add(r12, rax);
            });
            _a.mov(rax, r12);
        });

        // As a just-in-time compiler does: writable, written, executable, called.
        Check("mprotect", SumTo(SlowRounds), () =>
        {
            Call(Mmap, 0, 4096, 3, 0x22, ulong.MaxValue, 0);
            _a.mov(r13, rax);
            _a.xor(r12d, r12d);
            Repeat(SlowRounds, () =>
            {
                Protect(3);
                WriteFunction();
                Protect(5);
                _a.call(r13);
                _a.add(r12, rax);
            });
            _a.mov(rax, r12);
        });

        // There and back by far returns; there, 32-bit code asks for the process's number, and does what 64-bit code cannot.
        Check("32-bit-code", 100 * (0x72 + 0x0106), () =>
        {
            Call(GetPid);
            _a.mov(r13, rax);
            _a.xor(r12d, r12d);
            Repeat(100, () =>
            {
                Label back = _a.CreateLabel();
                _a.mov(__qword_ptr[Data], rsp);
                _a.lea(rax, __[back]);
                _a.mov(__dword_ptr[Data + 8], eax);
                _a.mov(esp, (uint)Stack32);
                _a.push(Code32Selector);
                _a.push((int)Code32);
                _a.db(0x48, 0xcb);
                _a.Label(ref back);
                _a.mov(rsp, __qword_ptr[Data]);
                _a.cmp(esi, r13d);
                _a.sete(cl);
                _a.movzx(ecx, cl);
                _a.imul(ecx, edi);
                _a.add(r12, rcx);
            });
            _a.mov(rax, r12);
        });
    }

    private Assembler WriteCode32()
    {
        Assembler a = new(32);

        // 45 + 27 in decimal; INC in one byte; AAM: 16 is 1 and 6; all registers through memory.
        a.mov(al, 0x45);
        a.add(al, 0x27);
        a.daa();
        a.movzx(edi, al);
        a.mov(eax, 15);
        a.db(0x40);
        a.db(0xd4, 0x0a);
        a.movzx(eax, ax);
        a.add(edi, eax);
        a.mov(eax, 20);
        a.@int(0x80);
        a.mov(esi, eax);
        a.pushad();
        a.xor(esi, esi);
        a.xor(edi, edi);
        a.popad();
        a.push(ReturnTo64);
        a.push(__dword_ptr.ss[(int)Data + 8]);
        a.retf();
        return a;
    }

    // MOV EAX, EBX's value; RET, at [R13].
    private void WriteFunction()
    {
        _a.mov(__byte_ptr[r13], 0xb8);
        _a.mov(__dword_ptr[r13 + 1], ebx);
        _a.mov(__byte_ptr[r13 + 5], 0xc3);
    }

    // Changes the protection of the page at R13.
    private void Protect(ulong protection)
    {
        _a.mov(rdi, r13);
        _a.mov(esi, 4096);
        _a.mov(edx, (uint)protection);
        _a.mov(eax, Mprotect);
        _a.syscall();
    }
}
