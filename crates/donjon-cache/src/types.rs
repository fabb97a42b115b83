//! Names for what follows from a service, its request and a form.

use donjon_coalesce::{Joined, Role};
use tower_service::Service;

use crate::{Form, flown::Flown, miss::Miss};

pub(crate) type ValueOf<S, R, F> = <F as Form<R, <S as Service<R>>::Response, <S as Service<R>>::Error>>::Value;
pub(crate) type OwnOf<S, R, F> = <F as Form<R, <S as Service<R>>::Response, <S as Service<R>>::Error>>::Own;
pub(crate) type ResponseOf<S, R, F> = <F as Form<R, <S as Service<R>>::Response, <S as Service<R>>::Error>>::Response;
pub(crate) type ResultOf<S, R, F> = Result<ResponseOf<S, R, F>, <S as Service<R>>::Error>;
pub(crate) type FlownOf<S, R, F> = Flown<ValueOf<S, R, F>, OwnOf<S, R, F>>;
pub(crate) type RoleOf<S, R, K, F> = Role<K, FlownOf<S, R, F>, <S as Service<R>>::Error>;
pub(crate) type JoinedOf<S, R, K, F> = Joined<K, FlownOf<S, R, F>, <S as Service<R>>::Error>;
pub(crate) type MissOf<S, R, K, F, P, St> = Miss<S, R, K, ValueOf<S, R, F>, F, P, St>;
