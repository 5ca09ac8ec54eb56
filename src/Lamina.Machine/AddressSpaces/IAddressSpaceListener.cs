namespace Lamina.Machine.AddressSpaces;

/// <summary>Told where ranges are, for accelerators that take <see cref="Doorbell"/>s themselves.</summary>
public interface IAddressSpaceListener
{
    /// <summary>The range was mapped, moved, enabled or disabled, and is now as it says. With the space's lock held: do not use the space.</summary>
    void OnChanged(AddressMapping mapping);
}
