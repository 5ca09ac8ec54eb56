using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>A local APIC that keeps which vectors it leaves out of its service.</summary>
internal sealed class DirectController : TestController, IDirectVectors
{
    public HashSet<byte> Direct { get; } = [];

    public void SetDirect(byte vector, bool isDirect) => _ = isDirect ? Direct.Add(vector) : Direct.Remove(vector);

    public void ClearDirect() => Direct.Clear();
}
