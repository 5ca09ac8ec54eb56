using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_pit_state2</c>.</summary>
[StructLayout(LayoutKind.Sequential, Size = 112)]
public struct KvmTimerState
{
    /// <summary>KVM_PIT_FLAGS_HPET_LEGACY.</summary>
    public const uint LegacyReplacement = 1;

    /// <summary>KVM_PIT_FLAGS_SPEAKER_DATA_ON.</summary>
    public const uint SpeakerData = 2;

    private Channels _channels;

    /// <summary>Flags.</summary>
    public uint Flags;

    /// <summary>The counters.</summary>
    public KvmChannel this[int counter]
    {
        readonly get => _channels[counter];
        set => _channels[counter] = value;
    }

    [InlineArray(3)]
    private struct Channels
    {
        private KvmChannel _first;
    }
}
