using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;

namespace Lamina.SoftCpu.Translate;

/// <summary>
/// x87 instructions that compute, and the control and status words. The registers are in the host's, with every exception masked: the block's entry has made
/// sure of it (<see cref="ProcessorContext.X87Off"/>).
/// </summary>
internal unsafe ref partial struct BlockTranslator
{
    private const int Masks = 0x3f;

    private static bool IsX87(Instruction* i) => i->Map == 0 && i->Opcode is >= 0xd8 and <= 0xdf && (i->Flags & (InstructionFlags.Undefined | InstructionFlags.Dropped)) == 0;

    private static bool IsControlWordLoad(Instruction* i) => i->IsMemory && i->Opcode == 0xd9 && (i->ModRm & 0x38) == 0x28;

    // FNSTCW, FNSTSW.
    private static bool IsWordStore(Instruction* i) => i->IsMemory ? i->Opcode is 0xd9 or 0xdd && (i->ModRm & 0x38) == 0x38 : i->Opcode == 0xdf && i->ModRm == 0xe0;

    // An instruction that this part translates. Bound ones that execute as themselves have a stub.
    private static bool UsesX87(Instruction* i) => IsX87(i) && (i->Data != 0 || IsControlWordLoad(i) || IsWordStore(i));

    private readonly bool FindsX87()
    {
        for (int n = 0; n < _count; n++)
        {
            Instruction* i = InstructionAt(n);
            if (UsesX87(i))
            {
                return true;
            }
        }

        return false;
    }

    private bool X87(Instruction* i)
    {
        if (!UsesX87(i))
        {
            return false;
        }

        if (!i->IsMemory)
        {
            EmitRestoreNeeded();
            _asm.Byte(i->Opcode);
            _asm.Byte(i->ModRm);
            NoteWritten();
            return true;
        }

        bool word = i->Data == 0;
        bool writes = word ? IsWordStore(i) : IsMemoryStore(i);
        if (IsControlWordLoad(i))
        {
            EmitSaveLive();
        }

        int offset = EmitOperand(i, word ? 2 : (int)i->Immediate, writes);
        if (IsControlWordLoad(i))
        {
            // Unmasking an exception is for the interpreter, and so is what follows then. Read once: another processor may write there meanwhile.
            _asm.MemoryForm(0x0fb7, Host.Value, Host.Address, offset, false);
            _asm.StoreContext(Host.Value, ContextLayout.BranchTarget);
            _asm.RegisterForm(0xf7, 2, Host.Value, false); // NOT
            _asm.RegisterForm(0xf7, 0, Host.Value, false); // TEST
            _asm.Dword(Masks);
            AddCold(ColdKind.Interpret, _asm.JumpIf(5));
            _asm.ContextForm(0xd9, 5, ContextLayout.BranchTarget, false);
            return true;
        }

        _asm.MemoryForm(i->Opcode, (i->ModRm >> 3) & 7, Host.Address, offset, false);
        return true;
    }

    private static bool IsMemoryStore(Instruction* i)
    {
        _ = X87Table.MemorySize((byte)i->Opcode, i->ModRm, out bool writes);
        return writes;
    }
}
