/** What ingress-nginx takes for the name and the domain of a cookie. Nothing in it can end an attribute. */
export const cookieText = /^[/A-Za-z0-9\-._~:]*$/;
