using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>
/// Exception handlers of the guest, on a stack of their own. Each writes down all registers and what was pushed, without the status flags; then a page fault maps the
/// page, unless it is mapped for reading; a breakpoint goes on, and everything else goes on at <see cref="Resume"/>.
/// </summary>
internal static class FaultHandlers
{
    public const ulong Resume = 0xbfe8;
    public const ulong Count = 0xbff0;
    public const int RecordSize = 23 * 8;
    public const int RecordCount = 64;
    private const ulong RecordPointer = 0xbff8;
    private const ulong TaskState = 0xf000;
    private const ulong StackTop = 0xff00;

    /// <summary>Where the handlers' stack lies: dead status flags stay there.</summary>
    public static Range StackBytes => 0xf800..0xff00;

    public static void Install(ConformanceMachine machine)
    {
        foreach (int vector in (ReadOnlySpan<int>)[0, 1, 3, 4, 5, 6, 7, 12, 13, 14, 17])
        {
            ulong address = Map.Handlers + 0x400 + ((ulong)vector * 32);
            Assembler stub = new(64);
            if (vector is not (12 or 13 or 14 or 17))
            {
                stub.push(0);
            }

            stub.push(vector);
            stub.jmp(Map.Handlers);
            machine.Write(address, Programs.Assemble(stub, address));
            machine.Write(Map.Idt + ((ulong)vector * 16), (address & 0xffff) | ((ulong)Map.CodeSelector << 16) | (1UL << 32) | (0x8eUL << 40));
        }

        machine.Write(Map.Handlers, Programs.Assemble(Common(), Map.Handlers));
        machine.Write(TaskState + 0x24, StackTop);
        machine.TaskState = TaskState;
        Reset(machine);
    }

    public static void Reset(ConformanceMachine machine)
    {
        machine.Write(RecordPointer, Map.Record);
        machine.Write(Count, 0UL);

        // HLT, if nothing else is said.
        machine.Write(Map.Handlers + 0x3f0, (byte)0xf4);
        machine.Write(Resume, Map.Handlers + 0x3f0);
        machine.Write(Map.Record, new byte[RecordSize * RecordCount]);
    }

    private static Assembler Common()
    {
        AssemblerRegister64[] registers = [rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
        Assembler a = new(64);
        Label inside = a.CreateLabel();
        Label other = a.CreateLabel();
        Label done = a.CreateLabel();
        foreach (AssemblerRegister64 register in registers)
        {
            a.push(register);
        }

        a.mov(rdi, __[RecordPointer]);
        a.mov(rsi, rsp);
        a.mov(ecx, 22);
        a.cld();
        a.rep.movsq();
        a.and(__qword_ptr[rdi - 0x18], ~0x8d5);
        a.mov(rax, cr2);
        a.mov(__[rdi], rax);
        a.add(rdi, 8);
        a.cmp(rdi, (int)Map.Record + (RecordSize * RecordCount));
        a.jb(inside);
        a.mov(edi, (int)Map.Record);
        a.Label(ref inside);
        a.mov(__[RecordPointer], rdi);
        a.inc(__qword_ptr[Count]);
        a.cmp(__qword_ptr[rsp + 120], 14);
        a.jne(other);

        // A read of what is there is forbidden for another reason: SMAP.
        a.cmp(__qword_ptr[rsp + 128], 1);
        a.je(other);

        // What has no page table cannot be mapped.
        a.shl(rax, 17);
        a.shr(rax, 17);
        a.cmp(rax, 0x20_0000);
        a.jae(other);
        a.shr(rax, 12);
        a.and(eax, 0x1ff);
        a.or(__qword_ptr[rax * 8 + (long)Map.PageTable], 3);
        a.mov(rax, cr2);
        a.invlpg(__byte_ptr[rax]);
        a.jmp(done);
        a.Label(ref other);
        a.cmp(__qword_ptr[rsp + 120], 3);
        a.je(done);
        a.mov(rax, __[Resume]);
        a.mov(__[rsp + 136], rax);
        a.Label(ref done);
        foreach (AssemblerRegister64 register in registers.Reverse())
        {
            a.pop(register);
        }

        a.add(rsp, 16);
        a.iretq();
        return a;
    }
}
