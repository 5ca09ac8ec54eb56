using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Fpu;
using Lamina.SoftCpu.Segmentation;

namespace Lamina.SoftCpu.Execute;

/// <summary>Chooses the handler of a decoded instruction, and marks those that end a block. What is not offered or not defined raises #UD.</summary>
internal static unsafe partial class Binder
{
    /// <summary>Fills in <see cref="Instruction.Handler"/>.</summary>
    public static void Bind(Instruction* i, ProcessorFeatures features, StubCache stubs, int codeSize)
    {
        i->Handler = null;
        bool vex = (i->Flags & InstructionFlags.Vex) != 0;
        if (VectorBinder.TryBind(i, features, stubs, codeSize))
        {
            return;
        }

        if (!vex && ((i->Flags & InstructionFlags.Lock) == 0 || Lockable(i)))
        {
            bool ends = false;
            i->Handler = i->Map switch
            {
                0 => BindOneByte(i, features, codeSize, ref ends),
                1 => BindTwoByte(i, features, codeSize, ref ends),
                2 => i->Opcode == 0x282 && (i->Flags & InstructionFlags.Mandatory) == InstructionFlags.OperandSize && i->IsMemory && (features & ProcessorFeatures.Invpcid) != 0
                    ? &ProcessorHandlers.InvalidatePcid : null,
                _ => null,
            };
            if (i->Handler != null)
            {
                i->Flags |= ends ? InstructionFlags.EndsBlock : 0;
                return;
            }

            if (SystemBinder.TryBind(i, features, codeSize))
            {
                return;
            }
        }

        i->Handler = &ControlHandlers.Undefined;
        i->Flags |= InstructionFlags.EndsBlock | InstructionFlags.Undefined;
    }

    // LOCK is for a memory destination of these (Intel SDM volume 2, LOCK).
    private static bool Lockable(Instruction* i)
    {
        if (!i->IsMemory)
        {
            return false;
        }

        int op = i->Opcode;
        int digit = (i->ModRm >> 3) & 7;
        return op switch
        {
            < 0x38 when (op & 7) < 2 => true,
            0x80 or 0x81 or 0x82 or 0x83 => digit != 7,
            0x86 or 0x87 => true,
            0xf6 or 0xf7 => digit is 2 or 3,
            0xfe or 0xff => digit is 0 or 1,
            0x1ab or 0x1b3 or 0x1bb or 0x1b0 or 0x1b1 or 0x1c0 or 0x1c1 => true,
            0x1ba => digit >= 5,
            0x1c7 => digit == 1,
            _ => false,
        };
    }
}
