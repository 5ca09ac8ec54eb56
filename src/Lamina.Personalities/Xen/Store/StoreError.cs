namespace Lamina.Personalities.Xen.Store;

/// <summary>How an operation on the store failed. Guests are told the name (xen/include/public/io/xs_wire.h).</summary>
internal enum StoreError
{
    None,
    Invalid,
    Denied,
    Exists,
    NoEntry,
    NoSpace,
    NoSuchCall,
    Busy,
    Again,
    TooBig,
}
