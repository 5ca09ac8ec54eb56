namespace Lamina.Machine.AddressSpaces;

/// <summary>A device with doorbells.</summary>
public interface IDoorbellTarget
{
    /// <summary>Something was written to doorbell <paramref name="number"/>. Any thread; several writes may ring once.</summary>
    void Ring(int number);
}
